import { describeFamilies } from './testing/describe-families.js';

describeFamilies('normalisations', 'attention');
