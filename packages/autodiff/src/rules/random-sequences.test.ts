import { describeFamilies } from './testing/describe-families.js';

describeFamilies('recurrent', 'control flow');
