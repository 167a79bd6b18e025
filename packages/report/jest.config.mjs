import { preset } from '../../tools/jest/preset.mjs';

export default preset('report', import.meta.dirname);
