using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Linear maps of a few rows, for generation. Most of their time is spent on reading the weight, so it is read once for all rows, in its
/// file's type: 16-bit weights take half as long as 32-bit ones. Sums are of 32-bit products, in an order that does not depend on the rows
/// or the threads.
/// </summary>
internal static unsafe class FewRows
{
    // Threads get whole groups of outputs, which are computed together.
    private const int Group = 4;

    /// <summary>The most rows for which four bits are decoded on the way, and for which a core without 512 bits is faster.</summary>
    internal const int Fewest = 8;

    // Whether this thread computes a part of a training step without recording it.
    [ThreadStatic]
    private static bool trains;

    /// <summary>
    /// Above this many rows libtorch's product is faster: with 512 bits where it has packed the weight for so many rows that this costs
    /// nothing.
    /// </summary>
    internal static int Most => RowTiles.Fits ? 256 : Fewest;

    // A training step seldom has so few rows; its sums must be the same with and without gradient checkpointing.
    private static int Limit => trains || is_grad_enabled() ? Fewest : Most;

    /// <summary>Computes a part of a training step without recording it: with the products of one that is recorded.</summary>
    /// <param name="part">The part.</param>
    internal static Tensor InTraining(Func<Tensor> part)
    {
        var before = trains;
        trains = true;
        try
        {
            return part();
        }
        finally
        {
            trains = before;
        }
    }

    // The least part of a weight for which starting a thread is worthwhile.
    private const int GrainElements = 4096;

    /// <summary>Whether a product can be computed here: contiguous tensors on the CPU, 32-bit rows, a weight of 32 or 16 bits.</summary>
    /// <param name="x">[n, in].</param>
    /// <param name="weight">W [out, in].</param>
    internal static bool Takes(Tensor x, Tensor weight) =>
        x.Dimensions == 2 && x.size(0) > 0 && x.size(0) <= Limit && FastPath.Takes(x)
        && weight.dtype is ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16
        && weight.device_type == DeviceType.CPU
        && weight.is_contiguous()
        // Shapes that do not fit go to libtorch, which reports them; the kernel would read past the end.
        && weight.Dimensions == 2 && weight.size(1) == x.size(1);

    /// <summary>The same for a map.</summary>
    internal static bool Takes(Tensor x, BlockMap map) => map.Quantized is { } few
        ? x.Dimensions == 2 && x.size(0) > 0 && x.size(0) <= MostOf(few) && FastPath.Takes(x) && few.TakesFewRows
        : Takes(x, map.Weight!);

    private static int MostOf(QuantizedMatrix few) => few is Nf4Matrix ? Fewest : Limit;

    /// <summary>Whether no gradient is recorded.</summary>
    internal static bool NeedsNoGradient(Tensor x, BlockMap map) =>
        map.Weight is { } weight
            ? NeedsNoGradient(x, weight, map.Bias)
            : !is_grad_enabled() || !x.requires_grad && map.Bias?.requires_grad != true;

    /// <summary>Whether no gradient is recorded.</summary>
    internal static bool NeedsNoGradient(Tensor x, Tensor weight, Tensor? bias) =>
        !is_grad_enabled() || !x.requires_grad && !weight.requires_grad && bias?.requires_grad != true;

    /// <summary>y = x·Wᵀ + b.</summary>
    internal static Tensor Linear(Tensor x, Tensor weight, Tensor? bias)
    {
        var result = empty(x.size(0), weight.size(0));
        if (bias is not null && !FastPath.Takes(bias))
        {
            Into(result, x, weight, null);
            return result.add_(bias);
        }
        Into(result, x, weight, bias);
        return result;
    }

    /// <summary>x·Wᵀ + b, written into result [n, out].</summary>
    internal static void Into(Tensor result, Tensor x, Tensor weight, Tensor? bias)
    {
        Into(result, x, new BlockMap(weight, bias));
    }

    /// <summary>A map of x, written into result [n, out].</summary>
    internal static void Into(Tensor result, Tensor x, BlockMap map)
    {
        var job = Map.Of(map, (float*)LibTorch.Data(result));
        Run(
            (float*)LibTorch.Data(x),
            (int)x.size(0),
            (int)x.size(1),
            &job,
            1);
        GC.KeepAlive(x);
        GC.KeepAlive(map.Holder);
        GC.KeepAlive(map.Bias);
        GC.KeepAlive(result);
    }

    /// <summary>Several maps in one job. Each must be one that can be computed here.</summary>
    /// <param name="x">[n, in].</param>
    /// <param name="maps">The maps.</param>
    internal static Tensor[] Linear(Tensor x, BlockMap[] maps)
    {
        var rows = x.size(0);
        var results = Array.ConvertAll(maps, map => empty(rows, map.Output));
        var jobs = stackalloc Map[maps.Length];
        for (var i = 0; i < maps.Length; i++) jobs[i] = Map.Of(maps[i], (float*)LibTorch.Data(results[i]));
        Run(
            (float*)LibTorch.Data(x),
            (int)rows,
            (int)x.size(1),
            jobs,
            maps.Length);
        GC.KeepAlive(x);
        GC.KeepAlive(maps);
        return results;
    }

    private static long Groups(long outputs) => (outputs + Group - 1) / Group;

    /// <summary>Several maps of the same rows in one job.</summary>
    internal static void Run(
        float* x,
        int rows,
        int input,
        Map* maps,
        int count)
    {
        var state = new State { X = x, Maps = maps, MapCount = count, Count = rows, Input = input };
        var groups = 0L;
        for (var i = 0; i < count; i++) groups += Groups(maps[i].Output);
        Team.For(groups, Math.Max(1, GrainElements / Group / Math.Max(1, input)), &Outputs, &state);
    }

    /// <summary>One map: the addresses of its weight, its bias and its result.</summary>
    internal struct Map
    {
        internal float* Y, Bias;
        internal void* Weight;
        internal int Output;
        internal ScalarType Type;

        /// <summary>Whether the result is added to the existing values.</summary>
        internal bool Adds;

        /// <summary>The scale of each output when the weight has 8 bits, else null.</summary>
        internal float* RowScales;

        /// <summary>The scales when the weight has 4 bits.</summary>
        internal BlockScales Scales;

        internal static Map Of(BlockMap map, float* y, bool adds = false)
        {
            var bias = map.Bias is null ? null : (float*)LibTorch.Data(map.Bias);
            if (map.Quantized is { } few) return few.Map(bias, y, adds);
            return new Map
            {
                Y = y, Weight = LibTorch.Data(map.Weight!), Bias = bias, Output = (int)map.Output, Type = map.Weight!.dtype, Adds = adds,
            };
        }
    }

    private struct State
    {
        internal float* X;
        internal Map* Maps;
        internal int MapCount, Count, Input;
    }

    private static void Outputs(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        long first = 0;
        for (var i = 0; i < s.MapCount; first += Groups(s.Maps[i++].Output))
        {
            ref var map = ref s.Maps[i];
            long from = Group * (Math.Max(begin, first) - first), to = Math.Min(Group * (end - first), map.Output);
            if (from >= to) continue;
            switch (map.Type)
            {
                case ScalarType.BFloat16: Outputs<Brain, ushort>(ref s, ref map, from, to); break;
                case ScalarType.Float16: Outputs<HalfFloat, ushort>(ref s, ref map, from, to); break;
                case ScalarType.Int8: Outputs<Small, sbyte>(ref s, ref map, from, to); break;
                case ScalarType.Byte: Nf4Rows.Outputs(
                    s.X,
                    s.Count,
                    s.Input,
                    ref map,
                    from,
                    to); break;
                default: Outputs<Single, float>(ref s, ref map, from, to); break;
            }
        }
    }

    private static void Outputs<TRead, T>(ref State s, ref Map map, long begin, long end) where TRead : struct, IRead<T> where T : unmanaged
    {
        if (RowTiles.Fits)
        {
            RowTiles.Outputs<TRead, T>(
                s.X,
                s.Count,
                s.Input,
                ref map,
                begin,
                end);
            return;
        }
        for (var output = begin; output < end; output++)
        {
            var w = (T*)map.Weight + output * s.Input;
            float bias = map.Bias == null ? 0 : map.Bias[output], scale = map.RowScales == null ? 1 : map.RowScales[output];
            var row = 0;
            // Weights that are read a second time are in the cache.
            for (; row + 2 <= s.Count; row += 2)
            {
                var (first, second) = Dots<TRead, T>(s.X + (long)row * s.Input, s.X + (long)(row + 1) * s.Input, w, s.Input);
                Put(ref map, row, output, first * scale + bias);
                Put(ref map, row + 1, output, second * scale + bias);
            }
            if (row < s.Count) Put(ref map, row, output, Dot<TRead, T>(s.X + (long)row * s.Input, w, s.Input) * scale + bias);
        }
    }

    /// <summary>Writes a value of a map's result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Put(ref Map map, int row, long output, float value)
    {
        ref var y = ref map.Y[(long)row * map.Output + output];
        y = map.Adds ? y + value : value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot<TRead, T>(float* x, T* w, int n) where TRead : struct, IRead<T> where T : unmanaged
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        var i = 0;
        for (; i <= n - 64; i += 64)
        {
            Expect<T>(w + i);
            s0 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), TRead.Load(w + i), s0);
            s1 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i + 16), TRead.Load(w + i + 16), s1);
            s2 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i + 32), TRead.Load(w + i + 32), s2);
            s3 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i + 48), TRead.Load(w + i + 48), s3);
        }
        for (; i <= n - 16; i += 16) s0 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), TRead.Load(w + i), s0);
        var sum = Vector512.Sum(s0 + s1 + (s2 + s3));
        for (; i < n; i++) sum += x[i] * TRead.One(w + i);
        return sum;
    }

    // A weight is read once and should not fill the caches; prefetching it keeps the reads fast at page ends (2 to 5 % faster).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Expect<T>(T* from) where T : unmanaged
    {
        if (!Sse.IsSupported) return;
        for (var line = 0; line < sizeof(T); line++) Sse.PrefetchNonTemporal((byte*)from + 512 + line * 64);
    }

    // The order of sums is the same as for a single row, so that a row's result does not depend on the other rows.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float, float) Dots<TRead, T>(float* x, float* z, T* w, int n) where TRead : struct, IRead<T> where T : unmanaged
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default, t0 = default, t1 = default, t2 = default, t3 = default;
        var i = 0;
        for (; i <= n - 64; i += 64)
        {
            Vector512<float> w0 = TRead.Load(w + i), w1 = TRead.Load(w + i + 16), w2 = TRead.Load(w + i + 32), w3 = TRead.Load(w + i + 48);
            s0 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), w0, s0);
            s1 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i + 16), w1, s1);
            s2 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i + 32), w2, s2);
            s3 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i + 48), w3, s3);
            t0 = Vector512.FusedMultiplyAdd(Vector512.Load(z + i), w0, t0);
            t1 = Vector512.FusedMultiplyAdd(Vector512.Load(z + i + 16), w1, t1);
            t2 = Vector512.FusedMultiplyAdd(Vector512.Load(z + i + 32), w2, t2);
            t3 = Vector512.FusedMultiplyAdd(Vector512.Load(z + i + 48), w3, t3);
        }
        for (; i <= n - 16; i += 16)
        {
            var w0 = TRead.Load(w + i);
            s0 = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), w0, s0);
            t0 = Vector512.FusedMultiplyAdd(Vector512.Load(z + i), w0, t0);
        }
        float first = Vector512.Sum(s0 + s1 + (s2 + s3)), second = Vector512.Sum(t0 + t1 + (t2 + t3));
        for (; i < n; i++)
        {
            first += x[i] * TRead.One(w + i);
            second += z[i] * TRead.One(w + i);
        }
        return (first, second);
    }

    /// <summary>Reads numbers of a type, widened exactly.</summary>
    internal interface IRead<T> where T : unmanaged
    {
        static abstract Vector512<float> Load(T* from);

        static abstract float One(T* from);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Wide(ushort* from)
    {
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector512UInt32(Vector256.Load(from));
        var (low, high) = Vector256.Widen(Vector256.Load(from));
        return Vector512.Create(low, high);
    }

    private readonly struct Single : IRead<float>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(float* from) => Vector512.Load(from);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static float One(float* from) => *from;
    }

    private readonly struct Brain : IRead<ushort>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(ushort* from)
        {
            return Vector512.ShiftLeft(Wide(from), 16).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static float One(ushort* from) => BitConverter.UInt32BitsToSingle((uint)*from << 16);
    }

    private readonly struct HalfFloat : IRead<ushort>
    {
        // Exponent and mantissa are shifted to their places, and one exact multiplication changes the exponent's bias by 127 − 15, which
        // is also right for subnormals.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(ushort* from)
        {
            var bits = Wide(from);
            var size = Vector512.ShiftLeft(bits & Vector512.Create(0x7fffu), 13).AsSingle()
                * Vector512.Create(BitConverter.UInt32BitsToSingle((127 + 112) << 23));
            var endless = Vector512.Equals(bits & Vector512.Create(0x7c00u), Vector512.Create(0x7c00u)) & Vector512.Create(0x7f800000u);
            return (size.AsUInt32() | endless | Vector512.ShiftLeft(bits & Vector512.Create(0x8000u), 16)).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static float One(ushort* from) => (float)BitConverter.UInt16BitsToHalf(*from);
    }

    internal readonly struct Small : IRead<sbyte>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(sbyte* from)
        {
            if (Avx512F.IsSupported) return Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(from)));
            var (low, high) = Vector256.Widen(
                Vector256.Create(Vector128.WidenLower(Vector128.Load(from)), Vector128.WidenUpper(Vector128.Load(from))));
            return Vector512.Create(Vector256.ConvertToSingle(low), Vector256.ConvertToSingle(high));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static float One(sbyte* from) => *from;
    }
}
