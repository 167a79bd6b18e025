import { preset } from '../../../tools/jest/preset.mjs';

export default preset('adaptive-projected-guidance', import.meta.dirname);
