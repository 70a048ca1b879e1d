using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training.Evaluation;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Several adapters are combined into one, and any linear one is converted to low rank.</summary>
[Trait("kind", "parity")]
public sealed class CombinationTests : IDisposable
{
    private static readonly string fixture = TextFixtures.At("adapters", "combine");
    private readonly ScratchFolder folder = new();
    private readonly LanguageModel model = ModelFolder.Open(TextFixtures.At("models", "llama"));

    public void Dispose()
    {
        model.Dispose();
        folder.Dispose();
    }

    private List<(DeltaSet Set, double Weight)> Both() =>
        [(DeltaSet.Load(model, Path.Combine(fixture, "a")), 0.7), (DeltaSet.Load(model, Path.Combine(fixture, "b")), 0.4)];

    // The logits of the base case's inputs, where no padding is.
    private (float[] Ours, float[] Theirs) Compared(string? name)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var inputs = SafetensorsFile.Open(Path.Combine(TextFixtures.At("models", "llama"), "reference.safetensors"));
        using var reference = SafetensorsFile.Open(Path.Combine(fixture, "reference.safetensors"));
        var ids = inputs.Map("input_ids").to(ScalarType.Int64);
        var mask = inputs.Map("attention_mask").to(ScalarType.Int64);
        var kept = mask.flatten().nonzero().squeeze(1);
        var rows = Enumerable.Range(0, (int)ids.size(0))
            .Select(r => ids[r].masked_select(mask[r].ne(0)).data<long>().ToArray().Select(id => (int)id).ToArray()).ToList();
        using var batch = model.Lay([.. rows.Select(row => new TokenRow(row, new float[row.Length], ""))]);
        var ours = Samples.Floats(model.Unembed(model.Hidden(batch)));
        return (ours, name is null ? ours : Samples.Floats(reference.Map(name).flatten(0, 1).index_select(0, kept)));
    }

    [Theory]
    [InlineData(CombineKind.Cat, "cat.logits")]
    [InlineData(CombineKind.Linear, "linear.logits")]
    [InlineData(CombineKind.Ties, "ties.logits")]
    [InlineData(CombineKind.MagnitudePrune, "magnitude_prune.logits")]
    public void What_PEFT_combines_rightly_is_combined_so(CombineKind kind, string name)
    {
        var sets = Both();
        using var joined = Combination.Of(
            sets,
            kind,
            0.5,
            null,
            0,
            out var errors);
        joined.Save(folder.Path, sets[0].Set.Configuration);
        sets.ForEach(pair => pair.Set.Dispose());
        using var set = DeltaSet.Load(model, folder.Path);
        var (ours, theirs) = Compared(name);
        Assert.True(Samples.Gap(theirs, ours) < 2e-4, $"{Samples.Gap(theirs, ours)}");
        if (kind == CombineKind.Cat) Assert.All(errors.Values, error => Assert.True(error < Samples.Ulps(32)));
        else Assert.All(errors.Values, error => Assert.True(error > 1e-3));
    }

    [Fact]
    public void What_sums_up_to_nothing_is_measured_by_what_was_summed()
    {
        var sets = Both();
        using var nothing = Combination.Of(
            [(sets[0].Set, 1), (sets[0].Set, -1)],
            CombineKind.Cat,
            0.5,
            null,
            0,
            out var errors);
        Assert.All(errors.Values, error => Assert.InRange(error, 0, 1e-3));
        sets.ForEach(pair => pair.Set.Dispose());
    }

    [Fact]
    public void Two_that_are_active_at_once_are_PEFTs_two()
    {
        var sets = Both();
        var (ours, theirs) = Compared("both_active.logits");
        Assert.True(Samples.Gap(theirs, ours) < 2e-4);
        sets.ForEach(pair => pair.Set.Dispose());
    }

    [Theory]
    [InlineData(CombineKind.Svd)]
    [InlineData(CombineKind.TiesSvd)]
    [InlineData(CombineKind.MagnitudePruneSvd)]
    [InlineData(CombineKind.DareLinearSvd)]
    public void Where_PEFT_scales_twice_the_dense_rule_is_the_judge(CombineKind kind)
    {
        var sets = Both();
        // With a full rank nothing is cut, and the result is the rule's.
        using var whole = Combination.Of(
            sets,
            kind,
            kind == CombineKind.DareLinearSvd ? 1 : 0.5,
            64,
            0,
            out var errors);
        Assert.All(errors.Values, error => Assert.True(error < 1e-5, $"{error}"));
        using var narrow = Combination.Of(
            sets,
            kind,
            0.5,
            2,
            0,
            out var cut);
        Assert.All(cut.Values, error => Assert.True(error > 1e-3));
        whole.Save(folder.Path, sets[0].Set.Configuration);
        sets.ForEach(pair => pair.Set.Dispose());
        using var set = DeltaSet.Load(model, folder.Path);
        Assert.True(Samples.Gap(Compared(null).Ours, Compared("svd.logits").Theirs) > 1e-3, "PEFT's own svd would be right");
    }

    [Theory]
    [InlineData("lokr", 64)]
    [InlineData("oft", 64)]
    [InlineData("boft", 64)]
    [InlineData("vera", 8)]
    [InlineData("lora-dora", 64)]
    public void A_linear_adapter_of_full_rank_converts_without_loss_and_of_a_small_one_with_the_loss_that_is_said(string name, int rank)
    {
        using var set = DeltaSet.Load(model, TextFixtures.At("adapters", name));
        var before = Compared(null).Ours;
        var gate = MergeGate.Open(model, []);
        using var whole = LowRank.Convert(set, rank, out var errors);
        Assert.All(errors.Values, error => Assert.True(error < 1e-5, $"{error}"));
        using var narrow = LowRank.Convert(set, 1, out var cut);
        Assert.Contains(cut.Values, error => error > 1e-3);
        whole.Save(folder.Path, set.Configuration);
        set.Dispose();
        Assert.True(gate.Compare(model).Divergence > 1e-6);
        using var plain = DeltaSet.Load(model, folder.Path);
        Assert.True(Samples.Gap(before, Compared(null).Ours) < 1e-4);
        Assert.True(gate.Pass(model, folder.Path, 1e-6).Logit < 1e-3);
        Assert.True(File.Exists(folder.At("gate.json")));
    }

    [Fact]
    public void A_gap_above_the_threshold_refuses_and_says_what_would_pass()
    {
        var gate = MergeGate.Open(model, [[5, 6, 7]]);
        using var set = DeltaSet.Load(model, TextFixtures.At("adapters", "lora"));
        Assert.Contains(
            "--gate", Assert.Throws<InputException>(() => gate.Pass(model, folder.Path, 1e-6)).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(folder.At("gate.json")));
    }

    [Theory]
    [InlineData("ia3")]
    [InlineData("prompt-tuning")]
    [InlineData("ln-tuning")]
    public void What_cannot_be_combined_or_converted_is_refused(string name)
    {
        using var set = DeltaSet.Load(model, TextFixtures.At("adapters", name));
        Assert.Throws<InputException>(() => Combination.Of(
            [(set, 1)],
            CombineKind.Cat,
            0.5,
            null,
            0,
            out _));
        if (name != "ia3") Assert.Throws<InputException>(() => LowRank.Convert(set, 4, out _));
    }
}
