import { preset } from '../../tools/jest/preset.mjs';

export default preset('create-updraft-method', import.meta.dirname);
