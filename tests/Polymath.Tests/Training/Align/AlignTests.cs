using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>The reference numbers of alignment: losses, gradients, and what is computed on the way.</summary>
[Trait("suite", "align")]
[Trait("kind", "parity")]
public sealed class AlignTests
{
    private static readonly Dictionary<string, Func<AlignCase, AlignModels, CaseNumbers>> formulas = new(StringComparer.Ordinal)
    {
        ["dpo"] = PairCases.Dpo,
        ["kto"] = SingleCases.Kto,
        ["bco"] = SingleCases.Bco,
        ["orpo"] = ReferenceFreeCases.Orpo,
        ["cpo"] = ReferenceFreeCases.Cpo,
        ["tpo"] = ReferenceFreeCases.Tpo,
        ["sft"] = SupervisedCases.Sft,
        ["reward"] = SupervisedCases.Reward,
        ["gkd"] = SupervisedCases.Gkd,
        ["grpo"] = GroupCases.Grpo,
        ["rloo"] = LeaveOneOutCases.Rloo,
        ["ppo"] = ProximalCases.Ppo,
        ["online-dpo"] = OnlineCases.Online,
        ["lora-dpo"] = OnlineCases.Lora,
    };

    public static TheoryData<string> Cases => [.. AlignCase.Names];

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_numbers_are_those_of_the_reference(string name)
    {
        var faults = Faults(name);
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    private static List<string> Faults(string name, Action<JsonObject>? change = null)
    {
        using var expected = new AlignCase(name);
        change?.Invoke(expected.Settings);
        using var models = new AlignModels();
        using var scope = NewDisposeScope();
        return expected.Family.StartsWith("train-", StringComparison.Ordinal)
            ? TrainedCase.Faults(expected, models)
            : formulas[expected.Family](expected, models).Faults(expected);
    }

    [Theory]
    [InlineData("dpo-sigmoid", "beta", 0.101)]
    [InlineData("kto", "undesirable_weight", 1.01)]
    [InlineData("cpo-simpo", "simpo_gamma", 1.01)]
    [InlineData("gkd-beta0.3", "beta", 0.31)]
    [InlineData("grpo-dapo", "epsilon", 0.21)]
    [InlineData("rloo", "beta", 0.051)]
    [InlineData("ppo", "lam", 0.94)]
    [InlineData("train-dpo", "weight_decay", 0.9)]
    public void A_changed_setting_is_noticed(string name, string setting, double value)
    {
        if (!AlignCase.Names.Contains(name)) Assert.Skip("The folder of cases has no such case.");
        Assert.NotEmpty(Faults(name, settings => settings[setting] = value));
    }

    [Fact]
    public void There_is_a_formula_for_every_case() => Assert.All(AlignCase.Names.Append("dpo-sigmoid"), name => Assert.True(
        name.StartsWith("train-", StringComparison.Ordinal) || formulas.Keys.Any(key => name.StartsWith(key, StringComparison.Ordinal))));
}
