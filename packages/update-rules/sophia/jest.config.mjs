import { preset } from '../../../tools/jest/preset.mjs';

export default preset('sophia', import.meta.dirname);
