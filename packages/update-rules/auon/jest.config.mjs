import { preset } from '../../../tools/jest/preset.mjs';

export default preset('auon', import.meta.dirname);
