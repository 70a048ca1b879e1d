using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Task stages that split a task into questions: spans of sentences, and chains.</summary>
[Trait("kind", "invariant")]
public sealed class DecomposedStageTests : IDisposable
{
    private const string Tone = "{name: tone, template: '{text} tone{mask}', verbalizer: {words: {m: mild, t: today}}, answer: tone}";

    private readonly ScratchFolder folder = new();

    public DecomposedStageTests()
    {
        folder.Write("tagged.jsonl", string.Concat(Enumerable.Range(0, 16).Select(Tagged)));
        folder.Write("tagged-valid.jsonl", string.Concat(Enumerable.Range(3, 6).Select(Tagged)));
        folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 24).Select(Row)));
        folder.Write("valid.jsonl", string.Concat(Enumerable.Range(5, 8).Select(Row)));
    }

    public void Dispose() => folder.Dispose();

    // 'soft' and 'hard' with a number behind them are entities.
    private static string Tagged(int i) => i % 2 == 0
        ? $$"""{"tokens": ["it", "soft", "{{i % 5}}", "was"], "tags": ["O", "B-S", "I-S", "O"]}""" + "\n"
        : $$"""{"tokens": ["hard", "{{i % 5}}", "today"], "tags": ["B-H", "I-H", "O"]}""" + "\n";

    private static string Row(int i) =>
        $$"""{"text": "{{(i % 2 == 0 ? "a b" : "b a")}} {{i % 5}}", "tone": "{{new[] { "", "m", "t" }[i % 3]}}", """
        + $$""" "said": "it {{i % 5}}", "kind": "{{(i % 2 == 0 ? "soft" : "hard")}}"}""" + "\n";

    private CliResult Run(params string[] arguments) => CliProgram.Run(folder.Path, arguments);

    private void Recipe(
        string family,
        string rows,
        string method,
        string label,
        string figure = "accuracy",
        int steps = 3) => folder.Write(
        "one.yaml",
        RecipeBuilder.Named("one").Model($"folder: \"{PromptModels.Save(folder, family)}\"")
            .Data("rows", $"files: {rows}.jsonl", $"validation: {(rows == "rows" ? "valid" : rows + "-valid")}.jsonl")
            .With("abilities", $"{{kinds: {{kind: accuracy, stage: one, rows: 8, figure: {figure}}}}}")
            .Stage(
                "one",
                "task",
                $"label: {label}",
                "data: rows",
                $"steps: {steps}",
                "optimizer: {rate: 1e-2}",
                "batch: {tokens: 128, maxLength: 40}",
                "evaluate: {samples: 0}",
                $"method: {{kind: prompt, {method}}}").Text);

    private JsonNode Abilities(string run, string stage = "01-one") =>
        JsonNode.Parse(File.ReadAllText(folder.At(run, "stages", stage, "report.json")))!["abilities"]!;

    private static string Spans(string template) =>
        $"template: '{template}', spans: {{maxWords: 3}}, verbalizer: {{words: {{S: soft, H: hard, O: today}}}}";

    [Theory]
    [InlineData("bert-mlm", "{tokens} {span} is {mask}")]
    [InlineData("t5", "{tokens} {soft} {span} is {mask} .")]
    [InlineData("gpt2", "{tokens} {span} is{mask}")]
    public void A_sentence_is_asked_span_by_span(string family, string template)
    {
        Recipe(family, "tagged", Spans(template), "tags", "entityF1");
        var whole = Run("run", "one.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        var measured = (double)Abilities("whole")["kinds"]!;
        if (family == "t5")
        {
            Assert.Equal(0, Run("run", "one.yaml", "--run-dir", "parts", "--stop-after-step", "2").Code);
            Assert.Equal(0, Run("run", "one.yaml", "--run-dir", "parts").Code);
            Assert.Equal(measured, (double)Abilities("parts")["kinds"]!, 12);
            Assert.Equal(measured, (double)JsonNode.Parse(Run("eval", "whole", "--stage", "one", "--json").Out)!["kinds"]!, 12);
        }
        // 16 entities, and half as many again that are none.
        var counts = JsonNode.Parse(File.ReadAllText(folder.At("whole", "stages", "01-one", "rows.json")))!;
        Assert.Equal(40, (int)counts["rows"]!);
        var answered = Run("classify", "whole", "--stage", "one", "--input", "tagged-valid.jsonl");
        Assert.True(answered.Code == 0, answered.All);
        Assert.Contains($"F1 {measured:F4}", answered.Error, StringComparison.Ordinal);
        var first = JsonNode.Parse(answered.Out.Split('\n')[0])!["classified"]!;
        Assert.Equal(3, first["tags"]!.AsArray().Count);
        Assert.All(first["entities"]!.AsArray(), entity => Assert.Equal(
            entity!["text"]!.ToString(),
            string.Join(' ', new[] { "hard", "3", "today" }[(int)entity["start"]!..(int)entity["end"]!])));
        if (family != "gpt2") return;
        var one = Run("classify", "whole", "--stage", "one", "--text", "it soft 3", "--json");
        Assert.Equal(3, JsonNode.Parse(one.Out)!["classified"]!["tags"]!.AsArray().Count);
        Assert.Contains("Write --format jsonl", Run(
            "classify", "whole", "--stage", "one", "--input", "tagged.jsonl", "--format", "csv").Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Entities_are_learned()
    {
        Recipe("bert-mlm", "tagged", Spans("{span} is {mask} : {tokens}"), "tags", "entityF1", steps: 60);
        var ran = Run("run", "one.yaml", "--run-dir", "run", "--set", "stages.one.batch.tokens=512");
        Assert.True(ran.Code == 0, ran.All);
        Assert.InRange((double)Abilities("run")["kinds"]!, 0.8, 1);
        Assert.InRange((double)Abilities("run", "00-start")["kinds"]!, 0, 0.5);
    }

    [Theory]
    [InlineData("bert-mlm", "{text} tone {mask}", "{text} {tone} {soft} . {mask}")]
    [InlineData("gpt2", "{text} {soft} tone{mask}", "{text} {tone} .{mask}")]
    [InlineData("t5", "{text} tone {mask}", "{text} {tone} . {mask}")]
    public void A_chain_is_asked_trained_measured_and_classifies(string family, string first, string last)
    {
        var question = Tone.Replace("{text} tone{mask}", first, StringComparison.Ordinal);
        Recipe(family, "rows", $"chain: [{question}], template: '{last}'", "kind");
        var ran = Asked(stops: family == "gpt2");
        // The last question of 23 training rows, and the first of the two thirds that answer it.
        Assert.Equal(38, (int)JsonNode.Parse(File.ReadAllText(folder.At("whole", "stages", "01-one", "rows.json")))!["rows"]!);
        Assert.All(ran, answer => Assert.Contains(answer["answers"]!["tone"]!.ToString(), new[] { "m", "t" }));
        if (family != "t5") return;
        var preview = Run("prompt", "preview", "one.yaml", "--stage", "one");
        Assert.True(preview.Code == 0, preview.All);
        Assert.Contains("--why says what prompts answer", Run(
            "classify", "whole", "--stage", "one", "--text", "a", "--why").Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt2", "{text} so{mask}", "{text} {said} .{mask}")]
    [InlineData("t5", "{text} so {mask}", "{text} {said} . {mask}")]
    public void A_written_answer_is_trained_and_read_by_the_last_question(string family, string first, string last)
    {
        Recipe(
            family,
            "rows",
            $"chain: [{Tone}, {{name: said, template: '{first}', tokens: 3, answer: said}}], template: '{last} {{tone}}'"
                .Replace("{mask} {tone}", " {tone}{mask}", StringComparison.Ordinal),
            "kind");
        var ran = Asked(stops: family == "t5");
        Assert.Equal(61, (int)JsonNode.Parse(File.ReadAllText(folder.At("whole", "stages", "01-one", "rows.json")))!["rows"]!);
        Assert.All(ran, answer => Assert.True(answer["answers"]!["said"]!.ToString().Split(' ').Length <= 3));
    }

    [Theory]
    [InlineData("bert-mlm", "{text} it {mask} today", "{text} {tone} . {mask}")]
    [InlineData("gpt2", "{text} it{mask}", "{text} {tone} .{mask}")]
    public void Rules_say_what_the_answers_mean_together(string family, string first, string last)
    {
        Recipe(
            family,
            "rows",
            $"chain: [{{name: tone, template: '{first}'}}], template: '{last}', "
            + "rules: {soft: [mild, a], hard: [today, b]}",
            "kind");
        var ran = Asked(stops: family == "bert-mlm");
        Assert.All(ran, answer => Assert.Equal(
            answer["label"]!.ToString() == "soft" ? "mild" : "today", answer["answers"]!["tone"]!.ToString()));
    }

    // Runs in one go and with a stop, and compares what is measured with what classify says.
    private List<JsonNode> Asked(bool stops)
    {
        var whole = Run("run", "one.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        var measured = (double)Abilities("whole")["kinds"]!;
        if (stops)
        {
            var stopped = Run("run", "one.yaml", "--run-dir", "parts", "--stop-after-step", "2");
            Assert.True(stopped.Code == 0, stopped.All);
            var resumed = Run("run", "one.yaml", "--run-dir", "parts");
            Assert.True(resumed.Code == 0, resumed.All);
            string Task(string run) => folder.At(run, "stages", "01-one", "model", "task.json");
            Assert.Equal(File.ReadAllText(Task("whole")), File.ReadAllText(Task("parts")));
            Assert.Equal(measured, (double)Abilities("parts")["kinds"]!, 12);
        }
        var answered = Run("classify", "whole", "--stage", "one", "--input", "valid.jsonl");
        Assert.True(answered.Code == 0, answered.All);
        var rows = answered.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(measured, rows.Average(row => (string?)row["kind"] == (string?)row["classified"]!["label"] ? 1.0 : 0.0), 9);
        return [.. rows.Select(row => row["classified"]!)];
    }

    [Theory]
    [InlineData("rows", "kind", "template: '{text} {mask}', spans: {words: text}", "does not say which span is asked for")]
    [InlineData("rows", "kind", "template: '{text} {span} {mask}', spans: {words: kind}", "'kind' is the stage's label, too")]
    [InlineData("rows", "kind", "template: '{text} {span} {mask}', spans: {words: text}", "words in 'text' and 1 tags in 'kind'")]
    [InlineData("tagged", "tags", "template: '{tokens} {span} {mask}', spans: {none: S}", "of the kind 'S', which stands for none")]
    [InlineData("rows", "kind", "template: '{text} {mask}', chain: []", "the list is empty")]
    [InlineData("rows", "kind", "template: '{text} {mask}', rules: {soft: [a, b]}", "rules join the answers of a chain")]
    [InlineData("rows", "kind", "template: '{text} {mask}', chain: [" + Tone + "]", "no later template has the answer 'tone'")]
    [InlineData("rows", "kind", "template: '{tone} {mask}', chain: [{name: tone, template: '{text} {mask}'}]", "says how it is answered")]
    [InlineData("rows", "kind", "template: '{tone} {mask}', chain: [{name: tone, template: '{text} {mask}', verbalizer: {kind: search}}]",
        "looks at training rows before the first step")]
    [InlineData("rows", "kind", "template: '{kind} {mask}', chain: [{name: kind, template: '{text} {mask}', tokens: 2}]",
        "'kind' is the stage's label")]
    [InlineData("rows", "kind", "template: '{tone} {mask}', chain: [" + Tone + "], spans: {words: text}", "and not with spans")]
    [InlineData("rows", "kind", "template: '{tone} {mask}', chain: [" + Tone + "], rules: {soft: [m], hard: [t]}",
        "'soft' has 1 answers, and 2 questions are asked")]
    [InlineData("rows", "kind", "template: '{said} {mask}', chain: [{name: said, template: '{text} {mask}', tokens: 2}]",
        "The question 'said': a bert reads one token at a mask and writes no texts")]
    [InlineData("rows", "kind", "template: '{tone} {mask}', chain: [{name: tone, template: '{text} {mask}', verbalizer: {words: "
        + "{a: mild, b: today}}, answer: tone}]", "has the answer 'm' to the question 'tone'; answers are a, b")]
    [InlineData("rows", "kind", "template: '{tone} {mask}', chain: [{name: tone, template: '{text} {mask}'}], rules: {soft: [mild, a], "
        + "odd: [today, b]}", "do not say what the label 'hard' is")]
    public void What_cannot_be_split_is_refused_before_the_first_step(string rows, string label, string method, string problem)
    {
        var figure = method.Contains("spans", StringComparison.Ordinal) ? "entityF1" : "accuracy";
        Recipe(
            "bert-mlm",
            rows,
            method,
            label,
            figure);
        var ran = Run("run", "one.yaml", "--run-dir", "run");
        Assert.Equal(2, ran.Code);
        Assert.Contains(problem, ran.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_figure_is_one_of_what_is_found()
    {
        Recipe("bert-mlm", "tagged", Spans("{tokens} {span} {mask}"), "tags");
        Assert.Contains("write figure: entityF1", Run("check", "one.yaml").All, StringComparison.Ordinal);
        Recipe("bert-mlm", "rows", "template: '{text} {mask}'", "kind", "entityF1");
        Assert.Contains("'one' has one label for a row, and no entities", Run("check", "one.yaml").All, StringComparison.Ordinal);
    }
}
