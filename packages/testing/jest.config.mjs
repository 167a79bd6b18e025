import { preset } from '../../tools/jest/preset.mjs';

export default preset('testing', import.meta.dirname);
