import { preset } from '../../../tools/jest/preset.mjs';

export default preset('lion', import.meta.dirname);
