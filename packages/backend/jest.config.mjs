import { preset } from '../../tools/jest/preset.mjs';

export default preset('backend', import.meta.dirname);
