"""Reads a folder of event files as TensorBoard does, and prints what it finds as JSON.

For looking at files that Updraft has written. Needs: pip install tensorboard tbparse

Usage: python tools/golden/check_tensorboard.py <folder>
"""

import json
import sys

import tbparse
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(folder):
    accumulator = EventAccumulator(
        folder, size_guidance={"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}
    )
    accumulator.Reload()
    tags = accumulator.Tags()
    report = {
        "scalars": {
            tag: [len(events), events[0].step, events[-1].step, events[-1].value]
            for tag in tags["scalars"]
            for events in [accumulator.Scalars(tag)]
        },
        "histograms": {
            tag: accumulator.Histograms(tag)[-1].histogram_value.bucket for tag in tags["histograms"]
        },
        "images": {
            tag: [accumulator.Images(tag)[-1].width, accumulator.Images(tag)[-1].height]
            for tag in tags["images"]
        },
        "texts": {
            tag: accumulator.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
            for tag in tags["tensors"]
        },
    }
    reader = tbparse.SummaryReader(folder)
    report["tbparse"] = {
        "scalars": len(reader.scalars),
        "texts": len(reader.text),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
