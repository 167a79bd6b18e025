import { testAggregator } from '@updraft/testing';
import { Mean, Median, TrimmedMean } from './index.js';

testAggregator(Mean);
testAggregator(Median, { weighted: false, breakdown: 2 });
testAggregator(TrimmedMean, { options: { trim: 0.2 }, weighted: false, breakdown: 1 });
