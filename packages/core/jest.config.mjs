import { preset } from '../../tools/jest/preset.mjs';

export default preset('core', import.meta.dirname);
