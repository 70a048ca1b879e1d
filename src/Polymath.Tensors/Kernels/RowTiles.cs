using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// The products of <see cref="FewRows"/> with 512 bits: four rows by four outputs at a time, so that a loaded number is used four times and
/// the weight is read in its file's order, without packing. A result's sum has the same order for any number of rows.
/// </summary>
internal static unsafe class RowTiles
{
    private const int Side = 4;

    /// <summary>Whether the machine has the instructions.</summary>
    internal static bool Fits => Vector512.IsHardwareAccelerated && Avx512F.IsSupported;

    /// <summary>Outputs from <paramref name="begin"/> to <paramref name="end"/> of a map.</summary>
    internal static void Outputs<TRead, T>(
        float* x,
        int count,
        int input,
        ref FewRows.Map map,
        long begin,
        long end) where TRead : struct, FewRows.IRead<T> where T : unmanaged
    {
        var weight = (T*)map.Weight;
        var output = begin;
        for (; output + Side <= end; output += Side)
        {
            var w = weight + output * input;
            var ahead = output + 2 * Side > end ? null : (byte*)(w + (long)Side * input);
            for (int row = 0, tile = 0; row < count; tile++)
            {
                var at = x + (long)row * input;
                var first = Ahead.Of(
                    ahead,
                    tile,
                    (count + Side - 1) / Side,
                    input,
                    sizeof(T));
                var rows = Math.Min(count - row, Side);
                var z = rows switch
                {
                    Side => Square<TRead, T>(at, w, input, first),
                    1 => One<TRead, T>(at, w, input, first),
                    _ => Pair<TRead, T>(at, w, input, first),
                };
                Put(ref map, row++, output, z.GetLower().GetLower());
                if (rows == 1) continue;
                Put(ref map, row++, output, z.GetLower().GetUpper());
                if (rows < Side) continue;
                Put(ref map, row++, output, z.GetUpper().GetLower());
                Put(ref map, row++, output, z.GetUpper().GetUpper());
            }
        }
        for (; output < end; output++)
            for (var row = 0; row < count; row++)
            {
                float bias = map.Bias == null ? 0 : map.Bias[output], scale = map.RowScales == null ? 1 : map.RowScales[output];
                var sum = Last<TRead, T>(x + (long)row * input, weight + output * input, input);
                FewRows.Put(ref map, row, output, sum * scale + bias);
            }
    }

    // The next outputs' weights are on their way while a tile is computed: each of its steps asks for some cache lines of them. All at once
    // before a tile, they would wait for each other.
    private struct Ahead(byte* next, int lines)
    {
        // The steps of a tile read Side vectors of the weight, which are as many lines as a number has bytes. The first tiles of the rows
        // ask for the lines between them.
        internal static Ahead Of(
            byte* next,
            int tile,
            int tiles,
            int input,
            int size)
        {
            if (next == null) return default;
            var lines = tiles switch
            {
                1 => size,
                < 4 => Math.Max(1, size / 2),
                _ => 1,
            };
            return tile * lines < size ? new Ahead(next + (long)tile * lines * (input / 16) * 64, lines) : default;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal void Step()
        {
            if (lines == 0) return;
            Sse.Prefetch1(next);
            if (lines > 1) Sse.Prefetch1(next + 64);
            if (lines > 2)
            {
                Sse.Prefetch1(next + 128);
                Sse.Prefetch1(next + 192);
            }
            next += lines * 64;
        }
    }

    // Four outputs of a row.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(
        ref FewRows.Map map,
        int row,
        long output,
        Vector128<float> sums)
    {
        if (map.RowScales != null) sums *= Vector128.Load(map.RowScales + output);
        sums += map.Bias == null ? Vector128<float>.Zero : Vector128.Load(map.Bias + output);
        var y = map.Y + (long)row * map.Output + output;
        (map.Adds ? Vector128.Load(y) + sums : sums).Store(y);
    }

    // The halves of two vectors, added: [a, b], 256 bits each.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Halves(Vector512<float> a, Vector512<float> b) =>
        Avx512F.Shuffle4x128(a, b, 0b01_00_01_00) + Avx512F.Shuffle4x128(a, b, 0b11_10_11_10);

    // Four vectors to one, whose part of 128 bits i is the folded vector i.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        Vector512<float> first = Halves(a, b), second = Halves(c, d);
        return Avx512F.Shuffle4x128(first, second, 0b10_00_10_00) + Avx512F.Shuffle4x128(first, second, 0b11_01_11_01);
    }

    // The sums of each part of 128 bits of four vectors: part i of the result has those of the parts i of a, b, c and d.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Cross(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var first = Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b);
        var second = Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d);
        return Avx512F.Shuffle(first, second, 0b01_00_01_00) + Avx512F.Shuffle(first, second, 0b11_10_11_10);
    }

    // The last numbers of a row that no vector holds.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Rest<TRead, T>(
        Vector512<float> sums,
        float* x,
        int rows,
        T* w,
        int n) where TRead : struct, FewRows.IRead<T> where T : unmanaged
    {
        if (n % 16 == 0) return sums;
        var part = stackalloc float[16];
        sums.Store(part);
        for (var row = 0; row < rows; row++)
            for (var output = 0; output < Side; output++)
                for (var i = n & ~15; i < n; i++) part[row * Side + output] += x[(long)row * n + i] * TRead.One(w + (long)output * n + i);
        return Vector512.Load(part);
    }

    // Four rows by four outputs: part i of the result has the outputs of row i.
    private static Vector512<float> Square<TRead, T>(
        float* x,
        T* w,
        int n,
        Ahead ahead) where TRead : struct, FewRows.IRead<T> where T : unmanaged
    {
        float* x1 = x + n, x2 = x1 + n, x3 = x2 + n;
        T* w1 = w + n, w2 = w1 + n, w3 = w2 + n;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, d2 = default, d3 = default;
        for (var i = 0; i <= n - 16; i += 16)
        {
            ahead.Step();
            Vector512<float> p = Vector512.Load(x + i), q = Vector512.Load(x1 + i), r = Vector512.Load(x2 + i), s = Vector512.Load(x3 + i);
            var v = TRead.Load(w + i);
            a0 = Vector512.FusedMultiplyAdd(p, v, a0);
            b0 = Vector512.FusedMultiplyAdd(q, v, b0);
            c0 = Vector512.FusedMultiplyAdd(r, v, c0);
            d0 = Vector512.FusedMultiplyAdd(s, v, d0);
            v = TRead.Load(w1 + i);
            a1 = Vector512.FusedMultiplyAdd(p, v, a1);
            b1 = Vector512.FusedMultiplyAdd(q, v, b1);
            c1 = Vector512.FusedMultiplyAdd(r, v, c1);
            d1 = Vector512.FusedMultiplyAdd(s, v, d1);
            v = TRead.Load(w2 + i);
            a2 = Vector512.FusedMultiplyAdd(p, v, a2);
            b2 = Vector512.FusedMultiplyAdd(q, v, b2);
            c2 = Vector512.FusedMultiplyAdd(r, v, c2);
            d2 = Vector512.FusedMultiplyAdd(s, v, d2);
            v = TRead.Load(w3 + i);
            a3 = Vector512.FusedMultiplyAdd(p, v, a3);
            b3 = Vector512.FusedMultiplyAdd(q, v, b3);
            c3 = Vector512.FusedMultiplyAdd(r, v, c3);
            d3 = Vector512.FusedMultiplyAdd(s, v, d3);
        }
        var sums = Cross(Fold(a0, b0, c0, d0), Fold(a1, b1, c1, d1), Fold(a2, b2, c2, d2), Fold(a3, b3, c3, d3));
        return Rest<TRead, T>(
            sums,
            x,
            4,
            w,
            n);
    }

    private static Vector512<float> Pair<TRead, T>(
        float* x,
        T* w,
        int n,
        Ahead ahead) where TRead : struct, FewRows.IRead<T> where T : unmanaged
    {
        var x1 = x + n;
        T* w1 = w + n, w2 = w1 + n, w3 = w2 + n;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        for (var i = 0; i <= n - 16; i += 16)
        {
            ahead.Step();
            Vector512<float> p = Vector512.Load(x + i), q = Vector512.Load(x1 + i), v = TRead.Load(w + i), u = TRead.Load(w1 + i);
            a0 = Vector512.FusedMultiplyAdd(p, v, a0);
            b0 = Vector512.FusedMultiplyAdd(q, v, b0);
            a1 = Vector512.FusedMultiplyAdd(p, u, a1);
            b1 = Vector512.FusedMultiplyAdd(q, u, b1);
            v = TRead.Load(w2 + i);
            u = TRead.Load(w3 + i);
            a2 = Vector512.FusedMultiplyAdd(p, v, a2);
            b2 = Vector512.FusedMultiplyAdd(q, v, b2);
            a3 = Vector512.FusedMultiplyAdd(p, u, a3);
            b3 = Vector512.FusedMultiplyAdd(q, u, b3);
        }
        return Rest<TRead, T>(
            Cross(Fold(a0, b0, a0, b0), Fold(a1, b1, a1, b1), Fold(a2, b2, a2, b2), Fold(a3, b3, a3, b3)),
            x,
            2,
            w,
            n);
    }

    private static Vector512<float> One<TRead, T>(
        float* x,
        T* w,
        int n,
        Ahead ahead) where TRead : struct, FewRows.IRead<T> where T : unmanaged
    {
        T* w1 = w + n, w2 = w1 + n, w3 = w2 + n;
        Vector512<float> a = default, b = default, c = default, d = default;
        for (var i = 0; i <= n - 16; i += 16)
        {
            ahead.Step();
            var p = Vector512.Load(x + i);
            a = Vector512.FusedMultiplyAdd(p, TRead.Load(w + i), a);
            b = Vector512.FusedMultiplyAdd(p, TRead.Load(w1 + i), b);
            c = Vector512.FusedMultiplyAdd(p, TRead.Load(w2 + i), c);
            d = Vector512.FusedMultiplyAdd(p, TRead.Load(w3 + i), d);
        }
        return Rest<TRead, T>(
            Cross(Fold(a, a, a, a), Fold(b, b, b, b), Fold(c, c, c, c), Fold(d, d, d, d)),
            x,
            1,
            w,
            n);
    }

    // One output of a row, its sum in the order of the others.
    private static float Last<TRead, T>(float* x, T* w, int n) where TRead : struct, FewRows.IRead<T> where T : unmanaged
    {
        Vector512<float> a = default;
        var i = 0;
        for (; i <= n - 16; i += 16) a = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), TRead.Load(w + i), a);
        var half = a.GetLower() + a.GetUpper();
        var quarter = half.GetLower() + half.GetUpper();
        var sum = quarter[0] + quarter[2] + (quarter[1] + quarter[3]);
        for (; i < n; i++) sum += x[i] * TRead.One(w + i);
        return sum;
    }
}
