import { describeFamilies } from './testing/describe-families.js';

describeFamilies('elementwise', 'reductions', 'products');
