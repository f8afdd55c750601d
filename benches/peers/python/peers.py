"""PyTorch, NumPy, ONNX Runtime and XNNPACK, each as its documentation makes a call for all rows."""

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import torch
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter

from contestant import DRAWS, Contestant
from rows import TEMPERATURE, aligned


def contestants(logits, threads):
    yield from torch_peers(torch.from_numpy(logits).clone())  # laid out as torch likes it
    yield Contestant("softmax", "numpy softmax(out=)", "numpy", numpy_softmax(logits))
    yield Contestant("argmax", "numpy argmax", "numpy", lambda: logits.argmax(axis=-1))
    yield Contestant("softmax", "onnxruntime Div + Softmax", "onnxruntime", onnx_softmax(logits, threads))
    call, read = xnnpack_softmax(logits, threads)
    yield Contestant("softmax", "XNNPACK multiply + softmax (LiteRT)", "ai-edge-litert", call, read)


def torch_peers(logits):
    def softmax():
        return torch.softmax(logits / TEMPERATURE, dim=-1)

    scaled, probs = torch.empty_like(logits), torch.empty_like(logits)

    def softmax_out():
        torch.div(logits, TEMPERATURE, out=scaled)
        return torch.softmax(scaled, dim=-1, out=probs)

    def race():
        exponentials = torch.empty_like(logits).exponential_()
        return softmax().div_(exponentials).argmax(dim=-1, keepdim=True)

    def draws():
        return torch.multinomial(softmax(), DRAWS, replacement=True)

    for op, name, call in [
        ("softmax", "softmax(x/T)", softmax),
        ("softmax", "div(out=) + softmax(out=)", softmax_out),
        ("sample", "softmax + multinomial", lambda: torch.multinomial(softmax(), 1)),
        ("sample", "softmax + exponential race", race),
        ("argmax", "argmax", lambda: logits.argmax(dim=-1)),
        ("draws", f"softmax + multinomial({DRAWS})", draws),
    ]:
        yield Contestant(op, f"torch {name}", "torch", call)


def numpy_softmax(logits):
    probs = aligned(logits.shape)

    def call():
        np.divide(logits, np.float32(TEMPERATURE), out=probs)
        np.subtract(probs, probs.max(axis=-1, keepdims=True), out=probs)
        np.exp(probs, out=probs)
        np.divide(probs, probs.sum(axis=-1, keepdims=True), out=probs)
        return probs

    return call


def onnx_softmax(logits, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if threads > 1:
        # Else they wait at full speed, beyond the end of any other's turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = onnx_model(logits.shape).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    probs = aligned(logits.shape)
    binding = session.io_binding()
    binding.bind_ortvalue_input("logits", onnxruntime.OrtValue.ortvalue_from_numpy(logits))
    binding.bind_output("probs", "cpu", 0, np.float32, probs.shape, probs.ctypes.data)

    def call():
        session.run_with_iobinding(binding)
        return probs

    return call


def onnx_model(shape):
    tensor = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
        onnx.helper.make_node("Softmax", ["scaled"], ["probs"], axis=-1),
    ]
    temperature = onnx.helper.make_tensor("temperature", onnx.TensorProto.FLOAT, [], [TEMPERATURE])
    inputs = [tensor("logits", onnx.TensorProto.FLOAT, shape)]
    outputs = [tensor("probs", onnx.TensorProto.FLOAT, shape)]
    graph = onnx.helper.make_graph(nodes, "softmax", inputs, outputs, [temperature])
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)


def xnnpack_softmax(logits, threads):
    """The call, and what views the answer: while such a view exists, the interpreter does not run."""
    interpreter = Interpreter(model_content=tflite_model(logits.shape), num_threads=threads)
    interpreter.allocate_tensors()
    [source], [answer] = interpreter.get_input_details(), interpreter.get_output_details()
    # Kernels of LiteRT itself, which are several times slower, serve what its delegate XNNPACK turns down.
    if not is_delegated(interpreter, source["index"], answer["index"]):
        raise SystemExit("LiteRT does not run the softmax by XNNPACK")
    interpreter.set_tensor(source["index"], logits)
    return interpreter.invoke, interpreter.tensor(answer["index"])


def is_delegated(interpreter, source, answer):
    nodes = [node for node in interpreter._get_ops_details() if node["op_name"] == "DELEGATE"]
    return any(source in node["inputs"] and answer in node["outputs"] for node in nodes)


def tflite_model(shape):
    """A softmax of its own `beta` (1/T) would be one pass less, but XNNPACK takes none but beta = 1."""
    scale = np.float32(1 / TEMPERATURE).tobytes()
    tensors = [
        tflite.TensorT(name="logits", shape=shape),
        tflite.TensorT(name="scale", shape=[], buffer=1),
        tflite.TensorT(name="scaled", shape=shape),
        tflite.TensorT(name="probs", shape=shape),
    ]
    multiply = tflite.OperatorT(
        opcodeIndex=0,
        inputs=[0, 1],
        outputs=[2],
        builtinOptionsType=tflite.BuiltinOptions.MulOptions,
        builtinOptions=tflite.MulOptionsT(),
    )
    softmax = tflite.OperatorT(
        opcodeIndex=1,
        inputs=[2],
        outputs=[3],
        builtinOptionsType=tflite.BuiltinOptions.SoftmaxOptions,
        builtinOptions=tflite.SoftmaxOptionsT(beta=1.0),
    )
    codes = [tflite.BuiltinOperator.MUL, tflite.BuiltinOperator.SOFTMAX]
    model = tflite.ModelT(
        version=3,
        # Readers take the larger of the two codes.
        operatorCodes=[tflite.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code) for code in codes],
        subgraphs=[tflite.SubGraphT(tensors=tensors, inputs=[0], outputs=[3], operators=[multiply, softmax])],
        buffers=[tflite.BufferT(), tflite.BufferT(data=scale)],  # The first is that of tensors without data.
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
