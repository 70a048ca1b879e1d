using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Decides whether tensors can use the C# kernels: contiguous 32-bit floats on the CPU. Everything else uses the plain path, the same
/// formula in libtorch's own operations. The tests compare the kernels with it.
/// </summary>
internal static class FastPath
{
    internal static bool Takes(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32 && tensor.is_contiguous();

    internal static bool Takes(Tensor a, Tensor b) => Takes(a) && Takes(b);

    internal static bool Takes(Tensor a, Tensor b, Tensor c) => Takes(a) && Takes(b) && Takes(c);
}
