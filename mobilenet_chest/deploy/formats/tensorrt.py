"""TensorRT: an ONNX file that its parser takes, the command that builds an engine of it, and the engine where it can be
built."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_chest.deploy.formats import onnx
from mobilenet_chest.deploy.formats.format import BATCH, Format, failed, metadata_beside
from mobilenet_chest.errors import ExportFailed
from mobilenet_chest.files import write_whole

if TYPE_CHECKING:
    from mobilenet_chest.models.deployed import DeployedClassifier

INPUT, FLOATS = "images", "images_as_floats"

PLAN = "model.plan"
"""Name of an engine, which fits one kind of GPU and one version of TensorRT."""

OPSETS = range(9, 21)
"""Versions of ONNX's operators that the parser takes."""

_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast CastLike Ceil Celu
    Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace DequantizeLinear Div
    Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
    HardSwish Hardmax Identity If ImageScaler InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu
    Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min
    Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow QuantizeLinear RNN
    RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    ReverseSequence RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
    Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
    Transpose Trilu Unsqueeze Upsample Where Xor
"""

OPERATORS = frozenset(_NAMES.split())
"""Operators that the parser of TensorRT 10.0 takes: docs/operators.md of github.com/onnx/onnx-tensorrt, 96e7811."""


def write(classifier: DeployedClassifier, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a classifier as an ONNX file whose operators the parser takes; beside it the engine, where it can be built.

    Raises:
        ExportFailed: The network cannot be written as ONNX, has another operator, or TensorRT refuses it.
    """
    onnx.write(classifier, metadata, path)
    write_whole(path, for_parser(path.read_bytes()))
    if find_spec("tensorrt") is not None:
        write_whole(path.with_name(PLAN), _built(path, _shapes(metadata)))


def for_parser(contents: bytes) -> bytes:
    """Return an ONNX file in which pixels become floats at once: the parser mirrors and joins no uint8 images.

    Args:
        contents: An ONNX file with the input ``images``.

    Raises:
        ExportFailed: An operator, or the version of all operators, is not among those that the parser takes.
    """
    import onnx as onnx_package

    model = onnx_package.load_from_string(contents)
    graph = model.graph
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == INPUT:
                node.input[index] = FLOATS
    cast = onnx_package.helper.make_node("Cast", [INPUT], [FLOATS], to=onnx_package.TensorProto.FLOAT)
    graph.node.insert(0, cast)
    check_operators(model)
    onnx_package.checker.check_model(model)
    return bytes(model.SerializeToString())


def check_operators(model: Any) -> None:
    """Refuse an ``onnx.ModelProto`` with an operator that the parser does not take.

    Raises:
        ExportFailed: It has one.
    """
    unknown = sorted({node.op_type for node in model.graph.node} - OPERATORS)
    if unknown:
        raise ExportFailed(f"TensorRT's parser lacks {', '.join(unknown)}; try --format onnx")
    (version,) = (opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))
    if version not in OPSETS:
        raise ExportFailed(
            f"TensorRT's parser takes opsets {OPSETS[0]} to {OPSETS[-1]}, not {version}; try --format onnx"
        )


def _shapes(metadata: Mapping[str, Any]) -> list[tuple[int, ...]]:
    """Return the smallest, the usual and the largest shape of the images."""
    size = metadata["image_size"]
    return [(n, metadata["channels"], size, size) for n in (1, 8, BATCH)]


def _built(path: Path, shapes: list[tuple[int, ...]]) -> bytes:
    """Return an engine for this machine's GPU, in float32."""
    import tensorrt

    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.WARNING))
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, builder.logger)
    if not parser.parse(path.read_bytes()):
        raise failed("tensorrt", ValueError(str(parser.get_error(0))))
    settings, profile = builder.create_builder_config(), builder.create_optimization_profile()
    settings.clear_flag(tensorrt.BuilderFlag.TF32)
    profile.set_shape(INPUT, *shapes)
    settings.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise failed("tensorrt", ValueError("no engine could be built; the lines above say why"))
    return bytes(plan)


def trtexec(path: Path, metadata: Mapping[str, Any]) -> str:
    """Return the command that builds and times an engine of a file, in float32 without TF32."""
    shapes = ("x".join(map(str, shape)) for shape in _shapes(metadata))
    limits = " ".join(
        f"--{name}Shapes={INPUT}:{shape}" for name, shape in zip(("min", "opt", "max"), shapes, strict=True)
    )
    return f"trtexec --onnx={path} --saveEngine={path.with_name(PLAN)} --noTF32 {limits}"


def further(path: Path) -> str:
    """Return how an engine is built."""
    return f"the proof is of the ONNX file; on a machine with TensorRT, type: {trtexec(path, metadata_beside(path))}"


FORMAT = Format("tensorrt", "model.onnx", write, onnx.load, further=further)
