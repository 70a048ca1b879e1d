using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Choices;
using Polymath.Text.Templates;
using Polymath.Training.Evaluation;

namespace Polymath.Tests.Training;

/// <summary>
/// Choices against lm-evaluation-harness: its own task files and code on the same rows and the same small GPT-2, without and with solved
/// questions. What it gave lies in <c>fixtures/harness</c>.
/// </summary>
[Trait("kind", "parity")]
public sealed class HarnessTests
{
    // Other rows and another model, whose numbers were made in the same way, lie in another folder.
    private static readonly string? other = Environment.GetEnvironmentVariable("POLYMATH_CASES") is { Length: > 0 } cases
        && Directory.Exists(Path.Combine(cases, "harness")) ? Path.Combine(cases, "harness") : null;

    private static readonly string folder = other ?? TextFixtures.At("harness");

    private static readonly JsonNode given = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "given.json")))!;

    public static TheoryData<string> Tasks => [.. given.AsObject().Select(pair => pair.Key)];

    private static Corpora Rows(string task) => new(
        RecipeReader.Parse(
            $$"""
            name: harness
            model: {family: llama, hiddenSize: 8, intermediateSize: 8, layers: 1, heads: 1, contextLength: 8}
            tokenizer: {kind: character}
            data:
              asked: {files: {{task}}.jsonl}
              solved: {files: {{task}}-dev.jsonl, split: {validation: 0, test: 0} }
            stages: [{name: read, kind: pretrain, data: asked, steps: 1, optimizer: {rate: 1} }]
            """,
            "harness.yaml",
            folder).OrThrow(),
        folder,
        new PackageCache());

    private static TextModel Model()
    {
        var place = other is null ? TextFixtures.At("prompts", "models", "gpt2") : Path.Combine(folder, "model");
        var tokenizer = Tokenizer.Load(place);
        return new TextModel(ModelFolder.Open(place), tokenizer, TextContract.Load(place, tokenizer));
    }

    [Theory]
    [MemberData(nameof(Tasks))]
    public void Questions_likelihoods_and_shares_are_those_of_the_harness(string name)
    {
        var (task, shots) = (name.Split('.')[0], int.Parse(name.Split('.')[1]));
        var corpora = Rows(task);
        var format = Enum.Parse<ChoiceFormat>(task, ignoreCase: true);
        ChoiceAbility Spec(ChoiceScore score) => new(
            "asked",
            format,
            Score: score,
            Shots: shots,
            ShotsFrom: "solved",
            Before: task == "ceval" ? "以下是中国关于故事的单项选择题，请选出其中的正确答案。\n\n" : null);
        var reader = new ChoiceReader(Spec(ChoiceScore.Sum));
        List<ChoiceRow> solved = [.. corpora.Rows("solved").Take(shots).Select(reader.Read)];
        var asked = corpora.Rows("asked").Select(row => (Row: reader.Read(row), Text: reader.Read(row).After(reader.Before(row), solved)))
            .ToList();
        var rows = given[name]!["rows"]!.AsArray();
        Assert.Equal(rows.Count, asked.Count);
        using var model = Model();
        var found = new ChoiceMeter(model).Likelihoods(
            [.. asked.Select(one => (one.Text, one.Row.Choices))], alone: false, TestContext.Current.CancellationToken);
        var cut = false;
        foreach (var (i, row) in rows.Index())
        {
            Assert.Equal((string?)row!["question"], asked[i].Text);
            Assert.Equal((int)row["answer"]!, asked[i].Row.Answer);
            // The harness keeps the last tokens of a row that is too long; here one less is kept, behind the token that begins a row.
            if (asked[i].Row.Choices.Any(choice =>
                model.Tokenizer.EncodePlain($"{asked[i].Text} {choice}").Length > model.Model.Sizes.ContextLength))
            {
                cut = true;
                continue;
            }
            var theirs = row["logs"]!.AsArray().Select(value => (double)value!).ToList();
            Assert.Equal(theirs.Count, found[i].Count);
            for (var choice = 0; choice < theirs.Count; choice++)
                Assert.Equal(theirs[choice], found[i][choice].LogLikelihood, 1e-4 * Math.Abs(theirs[choice]));
        }
        if (cut) return;
        var likelihoods = new ChoiceQuestions(Spec(ChoiceScore.Sum), corpora, 1).Likelihoods(
            model, alone: false, TestContext.Current.CancellationToken);
        foreach (var (score, figure) in new[] { (ChoiceScore.Sum, "acc"), (ChoiceScore.Character, "acc_norm") })
            Assert.Equal(
                (double)given[name]![figure]!, new ChoiceQuestions(Spec(score), corpora, 1).Accuracy(likelihoods, score), 1e-9);
    }

    // A text, the right answer, and whether its strict-match and its flexible-extract of GSM8K take it as right. Ours is the first where
    // there is a mark, else the second; but numbers are compared as numbers, so that 72.00 is 72.
    [Theory]
    [InlineData("5 + 5 = 10\n#### 10", "5\n#### 10", true, true)]
    [InlineData("so 12 #### 1,234.5", "#### 1,234.5", true, true)]
    [InlineData("the answer is $72.", "x\n#### 72", null, true)]
    [InlineData("-5 is it", "#### -5", null, true)]
    [InlineData("#### -5 balls", "#### -5", true, true)]
    [InlineData("none", "#### 3", null, false)]
    [InlineData("#### 7\n\nand 8", "#### 7", true, false)]
    [InlineData("I have 7 and then 8 balls.", "#### 8", null, true)]
    [InlineData("8 is it, with $3", "#### 8", null, false)]
    [InlineData("#### 12.", "#### 12", true, true)]
    [InlineData("#### $12", "#### 12", null, true)]
    [InlineData("10 apples #### ten", "#### 10", null, true)]
    [InlineData("#### 3\n#### 4", "#### 3", true, false)]
    [InlineData("#### 3\n#### 4", "#### 4", false, true)]
    [InlineData("it is 1,000,000!", "#### 1000000", null, true)]
    public void A_final_number_is_the_one_that_the_harness_takes(string text, string solution, bool? strict, bool flexible) =>
        Assert.Equal(strict ?? flexible, ChoiceMeter.FinalNumber(text) == ChoiceMeter.FinalNumber(solution));
}
