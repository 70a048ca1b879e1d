using System.Text;

namespace Polymath.Tests.Cli;

/// <summary>Mistakes of users: the exit code, the message, and what to type next.</summary>
[Trait("kind", "invariant")]
public sealed class InputTests
{
    private static void Refused(CliResult result, string what, int code = 2)
    {
        Assert.True(result.Code == code, $"exit code {result.Code}: {result.All}");
        Assert.Contains(what, result.Error);
    }

    public static TheoryData<string[], string> Commands => new()
    {
        { ["run", "nowhere.yaml"], "nowhere.yaml" },
        { ["rnu", "tiny.yaml"], "rnu" },
        { ["run"], "recipe" },
        { ["run", "tiny.yaml", "--stop-after-step", "0"], "--stop-after-step is 0" },
        { ["run", "tiny.yaml", "--stop-after-step", "x"], "--stop-after-step" },
        { ["run", "tiny.yaml", "--set", "stages.0.stepz=3"], "stepz" },
        { ["chat", "nowhere"], "There is no folder nowhere" },
        { ["generate", "nowhere", "--prompt", "x"], "There is no folder nowhere" },
        { ["generate", ".", "--prompt", "x"], "neither a run nor a model folder" },
        { ["generate", ".", "--prompt", ""], "The prompt is empty" },
        { ["generate", ".", "--prompt", "x", "--temperature", "-1"], "temperature is -1" },
        { ["generate", ".", "--prompt", "x", "--top-p", "0"], "top-p is 0" },
        { ["eval", "nowhere"], "There is no folder nowhere" },
        { ["eval", "tiny.yaml"], "tiny.yaml is a file" },
        { ["modle"], "has no command 'modle'; did you mean 'model'?" },
        { ["model", "infoo", "x"], "`polymath model` has no command 'infoo'; did you mean 'info'?" },
        { ["model"], "needs to know what to do: verify, info" },
        { ["hub", "--jsno"], "Name first what to do: download" },
        { ["generate", ".", "--promt", "x"], "There is no option --promt; did you mean --prompt?" },
        { ["generate", ".", "say", "--prompt", "x"], "'say' is one word too many" },
        { ["generate", ".", "--max-new-tokens", "x"], "--max-new-tokens is 'x'; it must be a whole number" },
        { ["generate", ".", "--seed", "1", "--seed", "2"], "--seed is given 2 times" },
        { ["generate", ".", "--seed"], "--seed needs a value" },
        { ["data", "preview", "lines.jsonl", "--max-length", "x"], "--max-length is 'x'; it must be a whole number" },
        { ["data", "preview", "lines.jsonl", "--shape", "dpo"], "--shape is 'dpo'; it must be one of auto, alpaca" },
        { ["data", "preview", "."], "'.' is a folder. Name its files" },
        { ["model", "convert", "."], "--output is missing: The folder to write" },
        { ["adapter", "import", "x", "--model", ".", "--lora-alpha", "x", "--output", "y"], "--lora-alpha is 'x'; it must be a number" },
        { ["model", "info", "runs/x"], "There is no folder runs/x. Give a run folder (runs/NAME) or a model folder." },
        { ["model", "info", "Qwen/Qwen3-0.6B"], "a model on the hub is hf:Qwen/Qwen3-0.6B" },
        { ["model", "info", "tiny.yaml"], "tiny.yaml is a file" },
        { ["tokenizer", "train", "--size", "300", "--files", ".", "--output", "t"], ". is a folder. Name its files" },
        { ["tokenizer", "info", "nowhere"], "no tokenizer.json at nowhere" },
        { ["tokenizer", "encode", ".", "x", "--file", "y"], "Both a text and --file" },
        { ["tokenizer", "encode", ".", "x", "--special", "--plain"], "exclude each other" },
        { ["tokenizer", "decode", ".", "1", "two"], "'two' is not a token id" },
        { ["tokenizer", "verify", ".", "--cases", "none.json"], "no tokenizer.json at ." },
        { ["tokenizer", "train", "--kind", "morse", "--size", "9", "--files", "tiny.yaml", "--output", "t"], "--kind is 'morse'" },
        { ["tokenizer", "train", "--size", "0", "--files", "tiny.yaml", "--output", "t"], "--size is 0" },
        { ["tokenizer", "train", "--size", "9", "--files", "tiny.yaml", "--output", "t"], "no room" },
        {
            ["tokenizer", "train", "--size", "300", "--minimum-count", "2", "--kind", "unigram", "--files", "tiny.yaml", "--output", "t"],
            "no meaning for unigram"
        },
        { ["tokenizer", "train", "--size", "300", "--files", "none.txt", "--output", "t"], "no file none.txt" },
        { ["model", "info", "nowhere"], "There is no folder nowhere" },
        { ["model", "hash", "."], "neither a run nor a model folder" },
        { ["model", "verify", ".", "--tolerance", "-1"], "--tolerance is -1" },
    };

    [Fact]
    public void A_wrong_command_is_refused_with_what_is_wrong()
    {
        using var recipe = new TinyRecipe();
        foreach (var row in Commands)
            Refused(CliProgram.Run(recipe.Path, row.Data.Item1), row.Data.Item2);
        Assert.False(Directory.Exists(recipe.At("runs")));
    }

    [Fact]
    public void A_mistake_is_told_once_and_without_the_names_of_types()
    {
        using var recipe = new TinyRecipe();
        var result = CliProgram.Run(recipe.Path, "data", "preview", "lines.jsonl", "--rows", "x", "--max-length", "y", "--shpae", "text");
        Assert.Equal(
            [
                "polymath: There is no option --shpae; did you mean --shape?",
                "polymath: --rows is 'x'; it must be a whole number of at most 2147483647.",
                "polymath: --max-length is 'y'; it must be a whole number of at most 2147483647.",
                "Type `polymath data preview --help` for what can be said.", ""],
            result.Error.Split('\n'));
        Assert.Contains("polymath data preview <source> [options]", CliProgram.Run(recipe.Path, "data", "preview", "--help").Out);
    }

    [Theory]
    [InlineData("{\"model_type\": ", "config.json, line 1, byte 16 is not JSON")]
    [InlineData("", "config.json, line 1, byte 1 is not JSON")]
    [InlineData("[]", "config.json is not a JSON object. Fetch or save it again.")]
    [InlineData("{}", "config.json names no model_type")]
    public void A_damaged_configuration_is_told_with_what_to_do(string configuration, string what)
    {
        using var recipe = new TinyRecipe();
        recipe.Write("model/config.json", configuration);
        var result = CliProgram.Run(recipe.Path, "model", "info", "model");
        Refused(result, what);
        Assert.DoesNotContain("LineNumber", result.All);
    }

    [Fact]
    public void Five_mistakes_are_told_at_once()
    {
        using var recipe = new TinyRecipe(tiny => tiny
            .With("model.layers", "0").Renamed("model.heads", "haeds")
            .Renamed("stages.please.rewards.plain", "plian")
            .With("data.lines.files", "lnes.jsonl")
            .With("stages.write.kind", "finetun"));
        foreach (var verb in new[] { "check", "run" })
        {
            var result = CliProgram.Run(recipe.Path, verb, "tiny.yaml");
            Assert.Equal(2, result.Code);
            foreach (var wrong in new[] { "layers", "haeds", "plian", "lnes.jsonl", "finetun" })
                Assert.Contains(wrong, result.Error);
        }
    }

    [Theory]
    [InlineData("", "lines")]
    [InlineData("{\"name\": \"a\", \"text\": \"b\", \"kind\": \"soft\"}\n", "has no")]
    [InlineData("{\"name\": \"a\", \"text\": \n", "line 1")]
    [InlineData("{\"name\": \"a\"}\n{\"name\": \"b\"}\n", "text")]
    public void Data_that_cannot_be_learned_from_is_refused(string lines, string what)
    {
        using var recipe = new TinyRecipe();
        recipe.Write("lines.jsonl", lines);
        Refused(recipe.Run("x"), what);
    }

    [Fact]
    public void Rows_of_which_nothing_is_left_to_learn_are_refused()
    {
        using var recipe = new TinyRecipe(lines: 60);
        Refused(recipe.Run("x", "--set", "stages.0.steps=2", "--set", "stages.1.batch.maxLength=4"), "Stage write has no train rows");
        // An answer without a character still teaches that it ends.
        recipe.Write("lines.jsonl", string.Concat(Enumerable.Range(0, 60)
            .Select(i => $$"""{"name": "n{{i}}", "text": "", "kind": "{{(i % 2 == 0 ? "soft" : "hard")}}"}""" + "\n")));
        var result = recipe.Run("y", "--stop-after-step", "10");
        Assert.True(result.Code == 0, result.All);
    }

    [Fact]
    public void A_byte_that_is_no_utf8_is_told_with_its_line()
    {
        using var recipe = new TinyRecipe();
        var bytes = File.ReadAllBytes(recipe.At("lines.jsonl"));
        var third = Encoding.UTF8.GetString(bytes).Split('\n').Take(2).Sum(line => line.Length + 1);
        bytes[third + 12] = 0xFF;
        File.WriteAllBytes(recipe.At("lines.jsonl"), bytes);
        Refused(recipe.Run("x"), "line 3, byte 13: 0xFF is not UTF-8");
    }

    [Fact]
    public void A_place_that_is_no_run_folder_is_refused()
    {
        using var recipe = new TinyRecipe();
        recipe.Write("taken", "a file");
        Refused(recipe.Run("taken"), "cannot be made");
        recipe.Write("other/thing.txt", "not a run");
        Refused(recipe.Run("other"), "holds other files than a run");
        Assert.Equal("not a run", File.ReadAllText(recipe.At("other", "thing.txt")));
        recipe.Write("broken/stages", "a file");
        recipe.Write("broken/recipe.yaml", "name: other");
        Refused(recipe.Run("broken"), "belongs to another recipe");
    }

    [Fact]
    public void A_run_whose_numbers_burst_fails_and_says_where()
    {
        using var recipe = new TinyRecipe();
        var result = recipe.Run("x", "--set", "stages.0.optimizer.rate=100", "--set", "stages.0.optimizer.weightDecay=100", "--set",
            "stages.0.steps=40", "--set", "stages.0.evaluate.every=0");
        Refused(result, "which is not a number", code: 1);
        Assert.Matches("Step [0-9]+ gave the loss", result.Error);
        Assert.Matches("holds [0-9]+ rows: .*, (?:line|item|row) [0-9]+", result.Error);
    }
}
