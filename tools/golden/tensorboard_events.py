"""Golden bytes of TensorBoard events, from TensorBoard's own protocol buffers and record writer.

Writes packages/report/test/golden-events.json. Needs: pip install tensorboard

Usage: python tools/golden/tensorboard_events.py
"""

import io
import json
import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478da63f80f0001010100"
    "1bb6ee560000000049454e44ae426082"
)


def text(tag, *lines):
    return Summary.Value(
        tag=tag,
        metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")),
        tensor=TensorProto(
            dtype=DT_STRING,
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(lines))]),
            string_val=[line.encode() for line in lines],
        ),
    )


EVENTS = {
    "fileVersion": Event(wall_time=1764000000.25, file_version="brain.Event:2"),
    "sessionStart": Event(
        wall_time=1764000000.25, step=101, session_log=SessionLog(status=SessionLog.START)
    ),
    "scalars": Event(
        wall_time=1764000001.5,
        step=7,
        summary=Summary(
            value=[
                Summary.Value(tag="loss", simple_value=0.1),
                Summary.Value(tag="gradientNorm/conv1", simple_value=float("inf")),
                Summary.Value(tag="zero", simple_value=0.0),
            ]
        ),
    ),
    "evaluation": Event(
        wall_time=1764000002.0,
        step=2**40,
        summary=Summary(value=[Summary.Value(tag="test/accuracy", simple_value=0.9875)]),
    ),
    "histogram": Event(
        wall_time=1764000003.0,
        step=8,
        summary=Summary(
            value=[
                Summary.Value(
                    tag="dense/weight",
                    histo=HistogramProto(
                        min=-1.0,
                        max=1.0,
                        num=6,
                        sum=-0.5 * 2 + 0.5 * 4,
                        sum_squares=0.25 * 6,
                        bucket_limit=[-1.0, 0.0, 1.0],
                        bucket=[0, 2, 4],
                    ),
                )
            ]
        ),
    ),
    "texts": Event(
        wall_time=1764000004.0,
        step=9,
        summary=Summary(
            value=[
                text("generated", "**prompt**\n\n    Call\n\n**text**\n\n    me\n    Ishmael – ü", "    plain")
            ]
        ),
    ),
    "image": Event(
        wall_time=1764000005.0,
        step=10,
        summary=Summary(
            value=[
                Summary.Value(
                    tag="samples/0",
                    metadata=SummaryMetadata(
                        plugin_data=SummaryMetadata.PluginData(plugin_name="images"),
                        summary_description="true: 3, predicted: 5",
                    ),
                    image=Summary.Image(height=1, width=1, colorspace=1, encoded_image_string=PNG),
                )
            ]
        ),
    ),
}


class KeepOpen(io.BytesIO):
    """The record writer closes what it writes to."""

    def close(self):
        pass


def framed(data):
    stream = KeepOpen()
    writer = RecordWriter(stream)
    writer.write(data)
    writer.flush()
    return stream.getvalue()


def main():
    target = pathlib.Path(__file__).parents[2] / "packages/report/test/golden-events.json"
    golden = {name: framed(event.SerializeToString()).hex() for name, event in EVENTS.items()}
    golden["png"] = PNG.hex()
    target.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
