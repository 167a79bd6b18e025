import { preset } from '../../tools/jest/preset.mjs';

export default preset('graph', import.meta.dirname);
