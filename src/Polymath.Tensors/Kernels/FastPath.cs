using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Says whether tensors can go through the C# kernels: 32-bit floats, densely laid out, on the CPU. Everything else takes the plain path,
/// the same formula in libtorch's own operations, which is also what the tests hold the kernels against.
/// </summary>
static class FastPath
{
    internal static bool Takes(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32 && tensor.is_contiguous();

    internal static bool Takes(Tensor a, Tensor b) => Takes(a) && Takes(b);

    internal static bool Takes(Tensor a, Tensor b, Tensor c) => Takes(a) && Takes(b) && Takes(c);
}
