import { describeFamilies } from './testing/describe-families.js';

describeFamilies('shapes', 'indexing', 'windows', 'sampling');
