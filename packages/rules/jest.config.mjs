import { preset } from '../../tools/jest/preset.mjs';

export default preset('rules', import.meta.dirname);
