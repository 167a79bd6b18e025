import { emptyTensor, writeElement, type TensorData } from '@updraft/graph';
import { testReward, type ObjectiveSettings } from '@updraft/testing';
import { BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError } from '../index.js';

const rows = { dataType: 'float32', shape: ['batch', 3] } as const;
const regression: ObjectiveSettings = {
  columns: { target: rows },
  outputs: { output: rows },
  best: ({ target }) => ({ output: target as TensorData }),
};
testReward(MeanSquaredError, { objective: regression });
testReward(MeanAbsoluteError, { objective: regression });
testReward(Huber, { objective: regression });
testReward(BinaryCrossEntropy, {
  objective: {
    columns: { target: rows },
    outputs: { output: rows },
    batch: (size, random) => {
      const target = emptyTensor('float32', [size, 3]);
      random.fillUniform(target.data);
      return { target };
    },
    // The logarithm of the odds.
    best: ({ target }) => ({
      output: { ...target, data: (target?.data as Float32Array).map((p) => Math.log(p / (1 - p))) } as TensorData,
    }),
  },
});
testReward(CrossEntropy, {
  objective: {
    columns: { label: { dataType: 'int64', shape: ['batch'] } },
    outputs: { logits: rows },
    // All but certain of the label.
    best: ({ label }) => {
      const { dims, data } = label as TensorData<'int64'>;
      const logits = emptyTensor('float32', [dims[0] as number, 3]);
      data.forEach((value, row) => {
        writeElement(logits, row * 3 + Number(value), 100);
      });
      return { logits };
    },
  },
});
