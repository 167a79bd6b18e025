import { preset } from '../../tools/jest/preset.mjs';

export default preset('nn', import.meta.dirname);
