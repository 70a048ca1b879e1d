using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Tests.Text.Prompts;

namespace Polymath.Tests.Cli;

/// <summary>Searches for prompts from the command line: leaderboards, exact resuming, files; and what is refused.</summary>
[Trait("kind", "invariant")]
public sealed class PromptSearchTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public PromptSearchTests() => folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 80).Select(i =>
        $"{{\"text\": \"{(i % 2 == 0 ? "ama ela" : "bat dok")} {i}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));

    public void Dispose() => folder.Dispose();

    private const string Words = ", verbalizer: {words: {soft: soft, hard: hard}}";

    // Words of the rows, which a tokenizer knows that is trained on the stage alone.
    private const string Own = ", verbalizer: {words: {soft: ama, hard: bat}}";

    private string Recipe(string family = "bert", string template = "template: '{text} it was {mask}'", string words = Words)
    {
        folder.Write("one.yaml", RecipeBuilder.Named("one")
            .Model($"family: {family}, hiddenSize: 16, intermediateSize: 32, layers: 1, heads: 2, contextLength: 40")
            .Tokenizer(family == "gpt2" ? "kind: byteLevelBpe, vocabularySize: 400" : "kind: wordPiece, vocabularySize: 300")
            .Data("rows", "files: rows.jsonl", "split: {validation: 0.3}")
            .Stage("read", "pretrain", "text: '{text} it was soft or hard today', data: rows, steps: 2, optimizer: {rate: 3e-3}")
            .Stage(
                "ask",
                "task",
                $"label: kind, data: rows, steps: 1, optimizer: {{rate: 1e-3}}, evaluate: {{samples: 0}}, batch: {{rows: 8}}, "
                    + $"method: {{kind: prompt, {template}{words}}}").Text);
        return "one.yaml";
    }

    private CliResult Search(string kind, string place, params string[] more) => CliProgram.Run(
        folder.Path, ["prompt", "search", "one.yaml", "--stage", "ask", "--kind", kind, "--run-dir", place, .. more]);

    private JsonArray Board(string place) => JsonNode.Parse(File.ReadAllText(folder.At(place, "leaderboard.json")))!.AsArray();

    private void Trained(string run)
    {
        var ran = CliProgram.Run(folder.Path, "run", "one.yaml", "--run-dir", run);
        Assert.True(ran.Code == 0, ran.All);
    }

    [Theory]
    [InlineData("bert", "1")]
    [InlineData("gpt2", "1")]
    [InlineData("bert", "3")]
    public void Trigger_words_are_searched_and_a_stopped_search_ends_alike(string family, string beams)
    {
        Recipe(family, "template: '{text} it was{mask}'", ", verbalizer: {words: {soft: ' soft', hard: ' hard'}}");
        Trained("run");
        string[] what =
        [
            "--from", "run", "--iterations", "2", "--restarts", "2", "--triggers", "2", "--candidates", "4", "--batch", "8", "--beams",
            beams,
        ];
        var whole = Search("autoprompt", "whole", what);
        Assert.True(whole.Code == 0, whole.All);
        CliResult again;
        var stops = 0;
        do again = Search("autoprompt", "parts", [.. what, "--stop-after", "3"]);
        while (again.Code == 130 && stops++ < 9);
        Assert.True(again.Code == 0 && stops == 1, again.All);
        foreach (var file in new[] { "leaderboard.json", "leaderboard.md", "found.yaml", "search.json" })
            Assert.Equal(File.ReadAllText(folder.At("whole", file)), File.ReadAllText(folder.At("parts", file)));
        Assert.All(Board("whole"), one => Assert.DoesNotContain("soft ", ((string)one!["template"]!)["{text} it was".Length..]));
        var losses = Board("whole").Where(one => (string)one!["from"]! == "restart 1").Select(one => (double)one!["found"]!).ToList();
        Assert.True(losses.Count > 0 && losses.All(double.IsFinite));
        Assert.Contains(Board("whole"), one => (string)one!["from"]! == "the recipe");
    }

    [Fact]
    public void Label_words_are_searched_and_a_recipe_names_what_was_found()
    {
        Recipe();
        Trained("run");
        var done = Search("words", "found", "--from", "run", "--candidates", "5", "--beams", "6", "--shots", "8");
        Assert.True(done.Code == 0, done.All);
        var board = Board("found");
        Assert.Equal(7, board.Count);
        string[] what = ["--from", "run", "--candidates", "5", "--beams", "6", "--shots", "8"];
        Assert.Equal(130, Search("words", "parts", [.. what, "--stop-after", "2"]).Code);
        Assert.Equal(0, Search("words", "parts", what).Code);
        Assert.Equal(File.ReadAllText(folder.At("found", "leaderboard.json")), File.ReadAllText(folder.At("parts", "leaderboard.json")));
        Assert.Equal(board.Select(one => -(double)one!["accuracy"]!).Order(), board.Select(one => -(double)one!["accuracy"]!));
        folder.Write("found.yaml", File.ReadAllText(folder.At("found", "found.yaml")));
        Recipe(template: "template: {file: found.yaml}", words: "");
        var shown = CliProgram.Run(folder.Path, "prompt", "preview", "one.yaml", "--stage", "ask");
        Assert.True(shown.Code == 0, shown.All);
        var words = board[0]!["words"]!["soft"]!.AsArray()[0]!.ToString();
        Assert.Contains($"label 'soft': {words} = ", shown.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_t5_writes_templates_that_are_scored()
    {
        Recipe();
        Trained("run");
        string[] what =
            ["--from", "run", "--writer", PromptCase.Model("t5-template"), "--beams", "8", "--max-length", "10", "--shots", "4"];
        var whole = Search("lmbff", "whole", what);
        Assert.True(whole.Code == 0, whole.All);
        Assert.True(Board("whole").Count > 3, whole.All);
        Assert.Equal(130, Search("lmbff", "parts", [.. what, "--stop-after", "2"]).Code);
        Assert.Equal(0, Search("lmbff", "parts", what).Code);
        Assert.Equal(File.ReadAllText(folder.At("whole", "leaderboard.json")), File.ReadAllText(folder.At("parts", "leaderboard.json")));
        Assert.All(Board("whole"), one => Assert.Contains("{mask}", (string)one!["template"]!));
    }

    [Fact]
    public void The_model_is_trained_by_each_candidate_where_it_is_asked_for()
    {
        Recipe();
        Trained("run");
        string[] what = ["--from", "run", "--writer", PromptCase.Model("t5-template"), "--beams", "4", "--max-length", "8", "--shots", "4",
            "--beam-score", "likelihood"];
        string[] tuned = [.. what, "--tune", "2", "--tune-rate", "1e-2", "--batch", "4"];
        var asked = Search("lmbff", "asked", what);
        Assert.True(asked.Code == 0, asked.All);
        var whole = Search("lmbff", "whole", tuned);
        Assert.True(whole.Code == 0, whole.All);
        Assert.Equal(130, Search("lmbff", "parts", [.. tuned, "--stop-after", "2"]).Code);
        Assert.Equal(0, Search("lmbff", "parts", tuned).Code);
        Assert.Equal(File.ReadAllText(folder.At("whole", "leaderboard.json")), File.ReadAllText(folder.At("parts", "leaderboard.json")));
        // The same templates, with other figures.
        IEnumerable<string> Templates(string place) => Board(place).Select(one => (string)one!["template"]!).Order(StringComparer.Ordinal);
        Assert.Equal(Templates("asked"), Templates("whole"));
        double Loss(string place, string template) =>
            (double)Board(place).First(one => (string)one!["template"]! == template)!["loss"]!;
        Assert.All(Templates("asked"), template => Assert.NotEqual(Loss("asked", template), Loss("whole", template)));
        Assert.True(File.Exists(folder.At("whole", "found-2.yaml")));
    }

    // A T5 that has been finetuned on tasks and their templates writes one.
    [Fact]
    public void A_model_that_learned_to_write_templates_is_asked_for_some()
    {
        Recipe(words: Own);
        folder.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
            $"{{\"task\": \"task {i % 10}\", \"template\": \"[text] it was {(i % 2 == 0 ? "" : "so ")}[mask] today\"}}\n")));
        folder.Write("write.yaml", RecipeBuilder.Named("write")
            .Model("family: t5, hiddenSize: 32, intermediateSize: 64, layers: 1, heads: 2, contextLength: 60")
            .Tokenizer("kind: wordPiece, vocabularySize: 400")
            .Data("pairs", "files: pairs.jsonl", "split: {validation: 0.1}")
            .Stage(
                "write",
                "finetune",
                "prompt: 'template for {task}', answer: '{template}', data: pairs, steps: 90, optimizer: {rate: 1e-2}, "
                    + "evaluate: {samples: 0}, batch: {tokens: 512}").Text);
        var learned = CliProgram.Run(folder.Path, "run", "write.yaml", "--run-dir", "writer");
        Assert.True(learned.Code == 0, learned.All);
        string[] what =
            ["--writer", "writer", "--ask", "template for task 1", "--samples", "12", "--temperature", "0.7", "--shots", "4"];
        var whole = Search("written", "whole", what);
        Assert.True(whole.Code == 0, whole.All);
        var written = Board("whole").Where(one => (string)one!["from"]! == "written").ToList();
        Assert.Contains(written, one => (string)one!["template"]! is "{text} it was {mask} today" or "{text} it was so {mask} today");
        Assert.InRange(written.Sum(one => (double)one!["found"]!), 1, 12);
        Assert.Equal(130, Search("written", "parts", [.. what, "--stop-after", "0"]).Code);
        Assert.Equal(0, Search("written", "parts", what).Code);
        Assert.Equal(File.ReadAllText(folder.At("whole", "leaderboard.json")), File.ReadAllText(folder.At("parts", "leaderboard.json")));
        var missing = Search("written", "none", "--writer", "writer", "--ask", "{subject}");
        Assert.Equal(2, missing.Code);
        Assert.Contains("--ask names {subject}", missing.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("written", "Name the folder of a model")]
    [InlineData("lmbff", "Name the folder of a T5")]
    [InlineData("autoprompt", "--triggers is 0", "--triggers", "0")]
    [InlineData("words", "have more than 200,000 combinations", "--candidates", "900")]
    [InlineData("words", "has no rows", "--shots", "900")]
    [InlineData("words", "--writer belongs to --kind lmbff and written", "--writer", "one")]
    [InlineData("words", "--tune-rate is of the training by each candidate", "--tune-rate", "1e-3")]
    [InlineData("words", "--tune is 0", "--tune", "0")]
    [InlineData("autoprompt", "--tune belongs to --kind lmbff and words and written", "--tune", "2")]
    [InlineData("autoprompt", "--beams is 0", "--beams", "0")]
    [InlineData("lmbff", "--triggers belongs to --kind autoprompt", "--triggers", "2")]
    public void What_cannot_be_searched_is_refused(string kind, string problem, params string[] more)
    {
        Recipe();
        var done = Search(kind, "out", more);
        Assert.Equal(2, done.Code);
        Assert.Contains(problem == "has no rows" ? "training rows, and 900 for training" : problem, done.Error, StringComparison.Ordinal);
    }

    // Braces that are text stay text, and an OpenPrompt block is a place like any.
    [Fact]
    public void Trigger_words_stand_before_the_answers_place_however_it_is_written()
    {
        Recipe(template: "template: '{text} say {{mask}} it was {\"mask\"}'", words: Own);
        var done = Search("autoprompt", "out", "--iterations", "1", "--restarts", "1", "--triggers", "1", "--candidates", "2");
        Assert.True(done.Code == 0, done.All);
        Assert.All(Board("out").Where(one => (string)one!["from"]! != "the recipe"), one =>
            Assert.Matches("^\\{text} say \\{\\{mask}} it was \\w+ \\{\"mask\"}$", (string)one!["template"]!));
    }

    [Fact]
    public void A_folder_of_another_prompt_other_rows_or_another_model_is_refused()
    {
        string[] what = ["--candidates", "3", "--beams", "2"];
        Recipe(words: Own);
        Assert.Equal(0, Search("words", "out", what).Code);
        Refused(Search("words", "out", [.. what, "--set", "model.hiddenSize=32"]));
        Recipe(template: "template: '{text} was {mask}'", words: Own);
        Refused(Search("words", "out", what));
        Recipe(words: Own);
        File.AppendAllText(folder.At("rows.jsonl"), "{\"text\": \"ama ama\", \"kind\": \"soft\"}\n");
        Refused(Search("words", "out", what));
        static void Refused(CliResult result)
        {
            Assert.Equal(2, result.Code);
            Assert.Contains("belongs to another search", result.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("verbalizer: {kind: soft, words: {soft: soft, hard: hard}}", "has a verbalizer of the kind soft")]
    [InlineData("verbalizer: {read: mean, words: {soft: soft, hard: hard}}", "has verbalizer.read mean")]
    [InlineData("verbalizer: {words: {soft: soft, hard: hard}, contentFree: [N/A]}", "calibrates its words")]
    [InlineData("demonstrations: {each: 1}", "shows demonstrations")]
    public void A_stage_that_reads_its_answers_in_another_way_is_refused(string settings, string problem)
    {
        Recipe(words: ", " + settings);
        var done = Search("words", "out");
        Assert.Equal(2, done.Code);
        Assert.Contains(problem, done.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_files_verbalizer_counts_only_where_the_recipe_gives_none()
    {
        folder.Write("found.yaml", "template: '{text} is {mask}'\nverbalizer: {words: {soft: ama, hard: bat}}\n");
        const string Listed = "prompts: [{template: {file: found.yaml}}]";
        foreach (var (words, expected) in new[] { (Words, "soft"), ("", "ama"), (", verbalizer: null", "ama") })
        {
            Recipe(template: Listed, words: words);
            var recipe = RecipeReader.Read(folder.At("one.yaml"), false, []).OrThrow();
            Assert.Equal([expected], ((PromptMethod)recipe.Stages[1].Method!).Asks()[0].Verbalizer!.Given!["soft"]);
        }
    }

    [Fact]
    public void A_file_without_a_template_is_a_fault_of_the_recipe()
    {
        folder.Write("empty.yaml", "verbalizer: {words: {a: b}}\n");
        foreach (var (file, problem) in new[] { ("empty.yaml", "has no template"), ("none.yaml", "there is no file") })
        {
            Recipe(template: $"template: {{file: {file}}}");
            var done = CliProgram.Run(folder.Path, "check", "one.yaml");
            Assert.Equal(2, done.Code);
            Assert.Contains(problem, done.All, StringComparison.Ordinal);
        }
    }
}
