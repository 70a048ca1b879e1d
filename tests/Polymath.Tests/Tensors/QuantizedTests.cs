using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Matrices in 4 and 8 bits: their rounding, their decoded values, and products with them.</summary>
[Trait("kind", "parity")]
public sealed class QuantizedTests
{
    private static string Hash<T>(Tensor values) where T : unmanaged =>
        Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values.contiguous().data<T>().ToArray().AsSpan())))[..16];

    // bitsandbytes' own operations in PyTorch (its default backend, 2026: quantize_4bit, quantize_blockwise with create_dynamic_map, and
    // back), on numbers that both sides make exactly.
    [Theory]
    [InlineData(100, 96, "8be98080f894cfee", "9503f9053b51fb42")]
    [InlineData(125, 264, "987c8d95706d6145", "8cb32fb5502a4e05")]
    [InlineData(300, 576, "566bbab8a3b5fa4e", "f5f5d9fcfbdbfe10")]
    public void Nf4_is_bitsandbytes_to_the_last_bit(int rows, int columns, string codes, string numbers)
    {
        using var scope = NewDisposeScope();
        var i = arange(rows * columns, ScalarType.Int64);
        var weight = ((i * 7919).remainder(2003) - 1001).to(ScalarType.Float32) / 1001
            * (1 + (i.floor_divide(50) * 31).remainder(37).to(ScalarType.Float32) / 8);
        using var matrix = (Nf4Matrix)QuantizedMatrix.Of(weight.view(rows, columns), QuantizedForm.Nf4);
        Assert.Equal("e732639a65f497b4", Hash<float>(tensor(Nf4Matrix.ScaleLevels())));
        Assert.Equal(codes, Hash<byte>(matrix.Codes()));
        Assert.Equal(numbers, Hash<float>(matrix.Plain()));
        Assert.Equal(numbers, Hash<float>(matrix.Wide()));
        Assert.True(matrix.Bytes < weight.numel() * 4.2 / 8 + 8, $"{matrix.Bytes}");
    }

    [Theory]
    [InlineData(1, 64)]
    [InlineData(3, 7)]
    [InlineData(700, 96)]
    [InlineData(2100, 512)]
    public void The_kernel_of_Nf4_rounds_as_libtorch_does_to_the_last_bit(int rows, int columns)
    {
        using var scope = NewDisposeScope();
        var weight = Samples.Normal("w", rows, columns);
        var flat = weight.view(-1);
        // Zeros, both ends, middles between two levels, the smallest numbers, a block of zeros.
        flat.narrow(0, 0, 16).copy_(tensor(Nf4Matrix.Levels.ToArray()));
        if (rows > 100)
        {
            flat.narrow(0, 64, 15).copy_(Nf4Rounding.Middles(Nf4Matrix.Levels));
            flat[79] = 1;
            flat.narrow(0, 128, 64).zero_();
            flat.narrow(0, 192, 64).mul_(1e-42f);
            flat.narrow(0, 256, 64).mul_(1e36f);
        }
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            using Nf4Matrix fast = Nf4Matrix.Of(weight.to(type)), plain = Nf4Matrix.Of(weight.to(type), plain: true);
            Assert.Equal(Hash<byte>(plain.Codes()), Hash<byte>(fast.Codes()));
            Assert.Equal(Hash<float>(plain.Scales()), Hash<float>(fast.Scales()));
            Assert.Equal(Hash<float>(plain.Wide()), Hash<float>(fast.Wide()));
        }
        // NaN: only the codes are compared, because the scale of NaN affects all values.
        flat[5] = float.NaN;
        Tensor numbers = flat.narrow(0, 0, flat.numel() / 64 * 64).view(-1, 64);
        if (numbers.size(0) == 0) return;
        Tensor Codes() => zeros(numbers.size(0), 16, 2, dtype: ScalarType.Byte);
        Tensor one = Codes(), two = Codes(), first = zeros(numbers.size(0)), second = zeros(numbers.size(0));
        Nf4Rounding.Round(numbers, one, first);
        Nf4Rounding.Plain(numbers, two, second);
        Assert.Equal(Hash<byte>(two), Hash<byte>(one));
        Assert.Equal(Samples.Floats(second), Samples.Floats(first));
    }

    [Fact]
    public void Int8_rounds_to_the_nearest_127th_of_a_rows_largest()
    {
        using var scope = NewDisposeScope();
        var weight = Samples.Normal("w", 9, 37);
        weight.select(0, 4).zero_();
        using var matrix = (Int8Matrix)QuantizedMatrix.Of(weight, QuantizedForm.Int8);
        var step = weight.abs().amax([1], keepdim: true) / 127;
        Assert.True(((matrix.Wide() - weight).abs() - step * 0.5001).max().item<float>() <= 0);
        Assert.Equal(127, matrix.Codes.abs().max().item<sbyte>());
        Assert.Equal(Samples.Floats(matrix.Plain()), Samples.Floats(matrix.Wide()));
        Assert.Equal(9 * 37 + 9 * 4, matrix.Bytes);
    }

    [Theory]
    [InlineData(QuantizedForm.Nf4, 64)]
    [InlineData(QuantizedForm.Nf4, 96)]
    [InlineData(QuantizedForm.Nf4, 448)]
    [InlineData(QuantizedForm.Nf4, 7)]
    [InlineData(QuantizedForm.Int8, 15)]
    [InlineData(QuantizedForm.Int8, 200)]
    public void A_product_is_that_of_the_numbers_it_stands_for_and_a_row_gives_the_same_bits_in_any_company(QuantizedForm form, int width)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var matrix = QuantizedMatrix.Of(Samples.Normal("w", 301, width) * 0.1, form);
        var most = form == QuantizedForm.Nf4 ? FewRows.Fewest : FewRows.Most;
        Tensor bias = Samples.Normal("b", 301),
            all = Samples.Normal("x", most + 3, width),
            wide = matrix.Plain().to(ScalarType.Float64);
        foreach (var rows in Enumerable.Range(1, most + 3).Where(rows => rows < 12 || rows % 60 == 0 || rows >= most))
        {
            var y = QuantizedProduct.Linear(all.narrow(0, 0, rows), matrix, bias);
            Samples.Near(nn.functional.linear(all.narrow(0, 0, rows).to(ScalarType.Float64), wide, bias.to(ScalarType.Float64))
                .to(ScalarType.Float32), y, 2e-5, $"{form}, {width}, {rows}");
            if (rows <= most && matrix.TakesFewRows)
                Assert.Equal(Samples.Floats(QuantizedProduct.Linear(all.narrow(0, rows - 1, 1), matrix, bias)), Samples.Floats(
                    y.narrow(0, rows - 1, 1)));
        }
    }

    [Theory]
    [InlineData(QuantizedForm.Nf4, 5, 64)]
    [InlineData(QuantizedForm.Nf4, 40, 100)]
    [InlineData(QuantizedForm.Int8, 5, 33)]
    [InlineData(QuantizedForm.Int8, 40, 64)]
    public void Gradients_of_the_input_and_the_bias_are_those_of_the_numbers_it_stands_for(QuantizedForm form, int rows, int width)
    {
        using var scope = NewDisposeScope();
        using var matrix = QuantizedMatrix.Of(Samples.Normal("w", 29, width), form);
        var wide = matrix.Plain();
        Samples.Agree(
            x => QuantizedProduct.Linear(x[0], matrix, x[1]),
            x => nn.functional.linear(x[0], wide, x[1]),
            1e-5,
            $"{form}",
            Samples.Normal("x", rows, width),
            Samples.Normal("b", 29));
        Samples.Agree(
            x => QuantizedProduct.PlainLinear(x[0], matrix),
            x => nn.functional.linear(x[0], wide),
            1e-5,
            $"{form}, plain",
            Samples.Normal("x", rows, width));
    }

    [Fact]
    public void A_slice_that_begins_inside_a_block_widens_as_the_whole_does()
    {
        using var scope = NewDisposeScope();
        using var matrix = QuantizedMatrix.Of(Samples.Normal("w", 50, 37), QuantizedForm.Nf4);
        var whole = matrix.Plain();
        foreach (var (from, count) in new[] { (0, 50), (1, 1), (3, 30), (49, 1) })
        {
            var part = empty(count, 37);
            matrix.Widen(from, count, part);
            Assert.Equal(Samples.Floats(whole.narrow(0, from, count)), Samples.Floats(part));
        }
    }
}
