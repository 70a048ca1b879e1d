using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>
/// The kernels of generation: products of a few rows, jobs shared by threads, and whole blocks, each compared with the plain computation.
/// </summary>
[Trait("kind", "unit")]
public sealed class FewRowsTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void A_product_is_libtorchs_for_any_number_of_rows_and_a_row_gives_the_same_bits_in_any_company(ScalarType type)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        foreach (var width in new[] { 1, 15, 16, 63, 64, 200 })
        {
            Tensor weight = (Samples.Normal("w", 301, width) * 0.1).to(type),
                bias = Samples.Normal("b", 301),
                all = Samples.Normal("x", FewRows.Most, width);
            foreach (var rows in Enumerable.Range(1, FewRows.Most).Where(rows => rows < 14 || rows % 61 == 0 || rows == FewRows.Most))
            {
                var x = all.narrow(0, 0, rows);
                Assert.True(FewRows.Takes(x, weight));
                var y = HalfProduct.Linear(x, weight, bias);
                var plain = nn.functional.linear(x.to(ScalarType.Float64), weight.to(ScalarType.Float64), bias.to(ScalarType.Float64));
                Samples.Near(plain.to(ScalarType.Float32), y, 2e-5, $"{type}, {width}");
                Assert.Equal(
                    Samples.Floats(HalfProduct.Linear(all.narrow(0, rows - 1, 1), weight, bias)), Samples.Floats(y.narrow(0, rows - 1, 1)));
            }
        }
    }

    [Fact]
    public void A_weight_that_does_not_fit_is_refused_and_not_read_past_its_end()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        Tensor x = Samples.Normal("x", 2, 64), narrow = Samples.Normal("w", 5, 32);
        Assert.False(FewRows.Takes(x, narrow));
        Assert.ThrowsAny<Exception>(() => HalfProduct.Linear(x, narrow));
    }

    [Fact]
    public void Several_maps_in_one_job_give_what_each_gives_alone()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var x = Samples.Normal("x", 3, 64);
        using QuantizedMatrix four = QuantizedMatrix.Of(Samples.Normal("f", 70, 64), QuantizedForm.Nf4),
            eight = QuantizedMatrix.Of(Samples.Normal("g", 300, 64), QuantizedForm.Int8);
        BlockMap[] maps = [new(Samples.Normal("a", 700, 64), null), new(four, Samples.Normal("h", 70)), new(
            Samples.Normal("b", 9, 64).to(ScalarType.BFloat16),
            Samples.Normal("d", 9)), new(eight, null), new(Samples.Normal("c", 1500, 64), Samples.Normal("e", 1500))];
        var together = HalfProduct.Linear(x, maps);
        for (var i = 0; i < maps.Length; i++)
            Assert.Equal(
                Samples.Floats(maps[i].Quantized is { } few
                    ? QuantizedProduct.Linear(x, few, maps[i].Bias)
                    : HalfProduct.Linear(x, maps[i].Weight!, maps[i].Bias)),
                Samples.Floats(together[i]));
    }

    [Fact]
    public unsafe void A_job_is_done_once_and_wholly_whoever_else_gives_one()
    {
        static void Count(long begin, long end, void* state)
        {
            for (var i = begin; i < end; i++) Interlocked.Increment(ref ((int*)state)[i]);
        }

        // Sizes about the pieces' borders, pauses that let the helpers sleep, and several callers at once.
        Parallel.For(0, 4, caller =>
        {
            for (var round = 0; round < 300; round++)
            {
                var done = new int[1 + (round * 37 + caller) % 400];
                fixed (int* counts = done) Team.For(done.Length, 1 + round % 7, &Count, counts);
                Assert.All(done, times => Assert.Equal(1, times));
                if (round % 100 == 99) Thread.Sleep(20);
            }
        });
    }

    [Theory]
    [InlineData("llama", "float32", 1)]
    [InlineData("mistral", "float32", 3)]
    [InlineData("qwen2", "bfloat16", 2)]
    [InlineData("qwen3", "float16", 4)]
    [InlineData("qwen3", "nf4", 3)]
    [InlineData("qwen2", "int8", 2)]
    public void A_block_in_one_go_is_its_parts_one_by_one(string type, string dtype, int rows)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var configuration = (JsonObject)JsonNode.Parse($$"""
            {"model_type":"{{type}}","vocab_size":50,"hidden_size":64,"intermediate_size":128,"num_hidden_layers":3,
             "num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"max_position_embeddings":64,
             "sliding_window":5,"attention_bias":false,"initializer_range":0.4,"tie_word_embeddings":false}
            """)!;
        using var model = new Llama(configuration, new FreshWeights(7));
        foreach (var weight in model.Weights)
            if (weight.Value.Dimensions == 1) weight.Assign(Samples.Normal(weight.Name, weight.Value.shape) * 0.3 + 1);
            else if (dtype.Contains("float", StringComparison.Ordinal) && dtype != "float32")
                weight.Exchange(weight.Value.to(ModelWriter.Types[dtype]));
        if (!dtype.Contains("float", StringComparison.Ordinal)) model.Quantize(Enum.Parse<BasePrecision>(dtype, ignoreCase: true));
        Tensor Read(bool inParts)
        {
            using var cache = model.NewCache(rows, 12);
            // Rows of different lengths begin, then every row goes on by one token, and by two.
            var states = new List<Tensor>();
            int[] slots = [.. Enumerable.Range(0, rows)];
            using (var batch = model.Begin([.. slots.Select(r => Enumerable.Range(r + 1, 4 + r % 2).ToArray())], slots))
                model.Hidden(batch, cache);
            for (var step = 1; step <= 2; step++)
            {
                using var batch = Batch.Continue(
                    [.. slots.Select(r => Enumerable.Range(20 + r, step).ToArray())], slots, [.. slots.Select(r => cache.Lengths[r])]);
                // A gradient that could be asked for keeps the parts apart.
                using var way = inParts ? enable_grad() : no_grad();
                states.Add(model.Hidden(batch, cache));
            }
            return cat([.. states], 0);
        }

        Samples.Near(Read(inParts: true), Read(inParts: false), 1e-4, type);
    }
}
