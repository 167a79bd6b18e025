import { preset } from '../../../tools/jest/preset.mjs';

export default preset('adadagrad', import.meta.dirname);
