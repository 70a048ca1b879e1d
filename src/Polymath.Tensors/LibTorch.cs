using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Polymath.Tensors;

/// <summary>
/// The few functions of libtorch's C interface that TorchSharp does not bind. They take a TorchSharp <see cref="Tensor.Handle"/> as the
/// handle.
/// </summary>
internal static unsafe class LibTorch
{
    private static readonly delegate* unmanaged<nint, void**, int> dataPointer =
        (delegate* unmanaged<nint, void**, int>)Export("aoti_torch_get_data_ptr");
    private static readonly delegate* unmanaged<void*, long, long*, long*, long, int, int, int, nint*, int> fromBlob =
        (delegate* unmanaged<void*, long, long*, long*, long, int, int, int, nint*, int>)Export("aoti_torch_create_tensor_from_blob");
    private static readonly delegate* unmanaged<nint, nint, nint, int> matrixProductInto =
        (delegate* unmanaged<nint, nint, nint, int>)Export("aoti_torch_cpu_mm_out");
    private static readonly delegate* unmanaged<long, long, long, delegate* unmanaged<long, long, void*, void>, void*, void> parallelFor =
        (delegate* unmanaged<long, long, long, delegate* unmanaged<long, long, void*, void>, void*, void>)Export("torch_parallel_for");

    private static nint Export(string name) => NativeLibrary.GetExport(TorchRuntime.Core, name);

    /// <summary>
    /// The address of a tensor's first element. It is only valid while the tensor is alive; the caller must keep it alive.
    /// </summary>
    internal static void* Data(Tensor tensor)
    {
        void* address;
        if (dataPointer(tensor.Handle, &address) != 0) throw new InvalidOperationException("libtorch did not give the tensor's address.");
        GC.KeepAlive(tensor);
        return address;
    }

    /// <summary>A tensor over memory with another owner, who must keep it alive as long as any view of the tensor.</summary>
    internal static Tensor FromBlob(void* data, ReadOnlySpan<long> shape, ScalarType type, ReadOnlySpan<long> spread = default)
    {
        Span<long> strides = stackalloc long[shape.Length];
        if (spread.Length > 0) spread.CopyTo(strides);
        else for (long i = shape.Length - 1, stride = 1; i >= 0; stride *= shape[(int)i--]) strides[(int)i] = stride;
        nint handle;
        fixed (long* s = shape, t = strides)
        {
            // A scalar has no sizes or strides, but libtorch still needs addresses.
            long none = 0;
            if (fromBlob(
                data,
                shape.Length,
                s == null ? &none : s,
                t == null ? &none : t,
                0,
                (int)type,
                0,
                -1,
                &handle) != 0)
                throw new InvalidOperationException($"libtorch refused a {type} tensor of shape [{string.Join(", ", shape.ToArray())}].");
        }
        return Tensor.UnsafeCreateTensor(handle);
    }

    /// <summary>left [m, k] times right [k, n], written into result [m, n] without a new tensor. CPU only.</summary>
    internal static void MatrixProduct(Tensor result, Tensor left, Tensor right)
    {
        if (matrixProductInto(result.Handle, left.Handle, right.Handle) != 0)
            throw new InvalidOperationException($"libtorch refused a product of [{string.Join(", ", left.shape)}] and "
                + $"[{string.Join(", ", right.shape)}].");
        // Without KeepAlive the operands could be freed while they are read, because they are not used after this.
        GC.KeepAlive(result);
        GC.KeepAlive(left);
        GC.KeepAlive(right);
    }

    /// <summary>
    /// Runs <paramref name="body"/> over ranges that together cover [0, count), on libtorch's own threads. Ranges depend only on the count,
    /// the grain and the number of threads, so that sums over them are repeatable. The body must be unmanaged-callable and must not throw.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void For(long count, long grain, delegate* unmanaged<long, long, void*, void> body, void* state) => parallelFor(
        0,
        count,
        grain,
        body,
        state);
}
