import { preset } from '../../../tools/jest/preset.mjs';

export default preset('barlow-twins', import.meta.dirname);
