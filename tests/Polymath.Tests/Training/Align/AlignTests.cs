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
        using var expected = new AlignCase(name);
        using var models = new AlignModels();
        using var scope = NewDisposeScope();
        var faults = expected.Family.StartsWith("train-", StringComparison.Ordinal)
            ? TrainedCase.Faults(expected, models)
            : formulas[expected.Family](expected, models).Faults(expected);
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public void There_is_a_formula_for_every_case() => Assert.All(AlignCase.Names.Append("dpo-sigmoid"), name => Assert.True(
        name.StartsWith("train-", StringComparison.Ordinal) || formulas.Keys.Any(key => name.StartsWith(key, StringComparison.Ordinal))));
}
