using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Each row of a batch uses its own adapters, and the base runs once.</summary>
[Trait("kind", "invariant")]
public sealed class RowRoutingTests : IDisposable
{
    private readonly LanguageModel model = ModelFolder.Open(TextFixtures.At("models", "llama"));

    // A row with each of them, one with none, one with two of them.
    private static readonly int[][] ids = [[5, 6, 7, 8], [9, 10, 11], [12, 13, 14, 15, 16], [17, 18], [19, 20, 21]];
    private static readonly int[][] owners = [[0], [1], [], [2], [0, 1]];

    public void Dispose() => model.Dispose();

    private List<DeltaSet> Sets() =>
    [
        Moved("""{"peft_type":"LORA","r":3,"target_modules":["q_proj","down_proj"]}"""),
        Moved("""{"peft_type":"OFT","oft_block_size":4,"target_modules":["q_proj","v_proj"]}"""),
        Moved("""{"peft_type":"POLYMATH_BOTTLENECK","bottleneck":4,"insertion":"parallel","target_modules":["o_proj","down_proj"]}"""),
    ];

    private DeltaSet Moved(string settings)
    {
        var set = DeltaSet.Fresh(model, AdapterConfiguration.Of((JsonObject)JsonNode.Parse(settings)!, "test"), 3);
        foreach (var (name, weight) in set.Trained) weight.Assign(weight.Value + Samples.Normal(name, weight.Value.shape) * 0.2);
        return set;
    }

    private static TokenRow Row(int[] row) => new(row, [.. row.Select((_, i) => i == 0 ? 0f : 1f)], "");

    private float[] Alone(int row, IReadOnlyList<DeltaSet> sets, out int[] answer)
    {
        var off = sets.Where((_, number) => !owners[row].Contains(number)).Select(set => set.Off()).ToList();
        var logits = Toy.Logits(model, ids[row]);
        answer = new TokenGenerator(model, [])
            .Generate(
                [ids[row]], new SamplingSettings(Temperature: 0, MaxNewTokens: 6), cancellation: TestContext.Current.CancellationToken)[0];
        off.ForEach(one => one.Dispose());
        return logits;
    }

    [Fact]
    public void Rows_together_answer_as_each_alone_with_its_own_adapters_and_go_on_so()
    {
        var sets = Sets();
        var answers = new int[ids.Length][];
        var alone = ids.Select((_, row) => Alone(row, sets, out answers[row])).ToList();
        using (var routing = new RowRouting(model, sets))
        {
            routing.Assign(owners);
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            using var batch = model.Lay([.. ids.Select(Row)]);
            var together = Samples.Floats(model.Unembed(model.Hidden(batch)));
            Assert.True(Samples.Gap([.. alone.SelectMany(x => x)], together) < 1e-4);
            Assert.Equal(answers, new TokenGenerator(model, []).Generate(
                ids, new SamplingSettings(Temperature: 0, MaxNewTokens: 6), cancellation: TestContext.Current.CancellationToken));
            // Hot swap: the same rows with others' adapters.
            routing.Assign([.. owners.Reverse()]);
            Assert.True(Samples.Gap(together, Samples.Floats(model.Unembed(model.Hidden(batch)))) > 1e-3);
        }
        sets.ForEach(set => set.Dispose());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Rows_that_are_generated_by_parts_or_with_beams_keep_their_adapters(int beams)
    {
        var sets = Sets();
        var settings = new SamplingSettings(Temperature: 0, MaxNewTokens: 6, Beams: beams);
        var alone = ids.Select((row, number) =>
        {
            var off = sets.Where((_, adapter) => !owners[number].Contains(adapter)).Select(set => set.Off()).ToList();
            var answer = new TokenGenerator(model, []).Generate([row], settings, cancellation: TestContext.Current.CancellationToken)[0];
            off.ForEach(one => one.Dispose());
            return answer;
        }).ToList();
        using (var routing = new RowRouting(model, sets))
        {
            routing.Assign(owners);
            Assert.Equal(alone, new TokenGenerator(
                model, []) { RowsAtOnce = 2 }.Generate(ids, settings, cancellation: TestContext.Current.CancellationToken));
            // The slots of one generator are forgotten with it.
            Assert.Equal(3, routing.RowOf(3));
        }
        Assert.True(alone.Select(answer => string.Join(' ', answer)).Distinct().Count() > 1);
        sets.ForEach(set => set.Dispose());
    }

    [Fact]
    public void One_step_gives_every_adapter_the_gradient_of_its_own_rows()
    {
        foreach (var weight in model.Weights) weight.Trainable = false;
        var sets = Sets();
        Dictionary<string, float[]> Gradients(Action run)
        {
            foreach (var weight in sets.SelectMany(set => set.Weights))
            {
                weight.Trainable = true;
                weight.ClearGradient();
            }
            run();
            return sets.SelectMany((set, number) => set.Trained.Select(item => ($"{number} {item.Name}", item.Weight)))
                .ToDictionary(
                    item => item.Item1,
                    item => item.Weight.Value.grad is { } gradient ? Samples.Floats(gradient) : new float[item.Weight.Count]);
        }

        void Learn(IReadOnlyList<TokenRow> rows)
        {
            using var scope = NewDisposeScope();
            using var batch = model.Lay(rows);
            Fused.Backpropagate(model.NegativeLogLikelihood(batch));
        }

        var apart = Gradients(() =>
        {
            for (var row = 0; row < ids.Length; row++)
            {
                var off = sets.Where((_, number) => !owners[row].Contains(number)).Select(set => set.Off()).ToList();
                if (owners[row].Length > 0) Learn([Row(ids[row])]);
                off.ForEach(one => one.Dispose());
            }
        });
        Dictionary<string, float[]> together;
        using (var routing = new RowRouting(model, sets))
        {
            routing.Assign(owners);
            together = Gradients(() => Learn([.. ids.Select(Row)]));
        }
        foreach (var (name, gradient) in apart)
        {
            Assert.Contains(gradient, x => x != 0);
            Assert.True(Samples.Gap(gradient, together[name]) < 1e-4, name);
        }
        sets.ForEach(set => set.Dispose());
    }

    [Fact]
    public void What_all_rows_share_cannot_be_routed()
    {
        using var prompt = DeltaSet.Load(model, TextFixtures.At("adapters", "prompt-tuning"));
        Assert.Contains(
            "which all rows share", Assert.Throws<InputException>(() => new RowRouting(model, [prompt])).Message, StringComparison.Ordinal);
        using var mixture = ModelFolder.Open(TextFixtures.At("models", "mixtral"));
        using var experts = DeltaSet.Fresh(
            mixture,
            AdapterConfiguration.Of((JsonObject)JsonNode.Parse("""{"peft_type":"LORA","target_modules":"all-linear"}""")!, "test"),
            1);
        Assert.Contains(
            "experts", Assert.Throws<InputException>(() => new RowRouting(mixture, [experts])).Message, StringComparison.Ordinal);
    }
}
