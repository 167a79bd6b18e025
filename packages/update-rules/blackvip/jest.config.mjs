import { preset } from '../../../tools/jest/preset.mjs';

export default preset('blackvip', import.meta.dirname);
