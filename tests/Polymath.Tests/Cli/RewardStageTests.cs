using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>Reward models: they are trained on a branch, and judge what the main line samples.</summary>
[Trait("kind", "unit")]
public sealed class RewardStageTests
{
    private const string Judge = "{name: judge, kind: reward, data: pairs, steps: 16, optimizer: {rate: 1e-2}, batch: {rows: 8}}";

    private static TinyRecipe Recipe(string stages, string rewards = "{liked: {kind: model, stage: judge}}")
    {
        var recipe = new TinyRecipe(tiny => tiny.With("abilities", "{liked: {kind: reward, stage: please, reward: liked, rows: 4}}")
            .With("rewards", rewards)
            .With("data.pairs", "{files: pairs.jsonl, shape: preference, split: {validation: 0.2, test: 0}}")
            .With("stages", stages));
        recipe.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i =>
            $$"""{"prompt": "ama {{i}}", "chosen": "ela {{i % 5}}", "rejected": "dok gup {{i % 7}}", "by": {{i % 2}}}""" + "\n")));
        return recipe;
    }

    private const string Read = "{name: read, kind: pretrain, data: lines, steps: 4, optimizer: {rate: 1e-2}, batch: {tokens: 300}}";

    private const string Please = "{name: please, kind: align, by: {kind: grpo}, data: lines, prompt: 'say {name}', rewards: {liked: 1}, "
        + "rollout: {prompts: 4, answers: 4, maxNewTokens: 6, rounds: 2}, steps: 6, optimizer: {rate: 1e-3}}";

    private static List<double> Figures(TinyRecipe recipe, string run, string name) =>
    [
        .. File.ReadLines(recipe.At(run, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == name).Select(line => line["value"]!.GetValue<double>()),
    ];

    [Fact]
    public void A_reward_model_learns_pairs_and_judges_a_later_stage()
    {
        using var recipe = Recipe($"[{Read}, {Judge}, {Please}]");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var accuracy = Figures(recipe, "run", "train accuracy");
        Assert.True(accuracy[^1] > 0.95, string.Join(' ', accuracy));
        Assert.True(Figures(recipe, "run", "train chosen reward")[^1] > Figures(recipe, "run", "train rejected reward")[^1] + 1);
        // The folder is what transformers calls a sequence classifier with one label.
        var config = JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", "02-judge", "model", "config.json")))!;
        Assert.Equal("LlamaForSequenceClassification", config["architectures"]![0]!.ToString());
        Assert.Equal("regression", config["problem_type"]!.ToString());
        // The main line goes on from the stage before the branch.
        config = JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", "03-please", "model", "config.json")))!;
        Assert.Equal("LlamaForCausalLM", config["architectures"]![0]!.ToString());
        var first = File.ReadLines(recipe.At("run", "stages", "03-please", "rollouts", "round-001.jsonl")).First();
        Assert.NotNull(JsonNode.Parse(first)!["rewards"]!["liked"]);
        // Before the judge is trained, and by the judge itself, nothing is measured.
        Assert.Single(Figures(recipe, "run", "after liked"));
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "22").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Fact]
    public void The_steps_of_answers_are_learned_and_judge_a_later_stage()
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities")
            .With("rewards", "{liked: {kind: model, stage: judge, separator: \" \", steps: mean}}")
            .With("data.worked", "{files: worked.jsonl, shape: steps, split: {validation: 0.2, test: 0}}")
            .With("stages", $"[{Read}, {{name: judge, kind: reward, process: {{separator: \" \"}}, data: worked, epochs: 8, "
                + $"optimizer: {{rate: 1e-2}}, batch: {{rows: 8}}}}, {Please}]"));
        string[] right = ["ama", "ela", "ilu", "ona"], wrong = ["bat", "dok", "gup", "tek"];
        recipe.Write("worked.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
            $$"""{"prompt": "ama {{i}}", "completions": ["{{right[i % 4]}}", "{{wrong[i % 3]}}", "{{right[i % 3]}}"], """
                + """ "labels": [true, false, true]}""" + "\n")));
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var accuracy = Figures(recipe, "run", "train accuracy");
        Assert.True(accuracy[^1] > 0.95, string.Join(' ', accuracy));
        // The folder is what transformers calls a token classifier.
        var config = JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", "02-judge", "model", "config.json")))!;
        Assert.Equal("LlamaForTokenClassification", config["architectures"]![0]!.ToString());
        Assert.Equal("good", config["id2label"]!["1"]!.ToString());
        var scores = Directory.GetFiles(recipe.At("run", "stages", "03-please", "rollouts")).SelectMany(File.ReadLines)
            .Select(line => JsonNode.Parse(line)!["rewards"]!["liked"]).OfType<JsonValue>().Select(value => value.GetValue<double>());
        Assert.All(scores, score => Assert.InRange(score, 0, 1));
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "21").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
        recipe.Write("worked.jsonl", """{"prompt": "ama", "completions": ["ela", "ilu"], "labels": [true]}""" + "\n");
        var refused = recipe.Run("none");
        Assert.Equal(2, refused.Code);
        Assert.Contains("are not two lists of the same length", refused.Error);
    }

    [Theory]
    [InlineData("{kind: ppo, critic: judge}")]
    [InlineData("{kind: grpo, klWeight: 0.1}")]
    public void A_check_opens_what_does_not_wait_for_a_stage(string by)
    {
        using var recipe = Recipe($"[{Read}, {Judge}, {Please}]");
        var check = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--open", "--set", $"stages.please.by={by}");
        Assert.True(check.Code == 0, check.All);
        Assert.Contains("please: 6 steps", check.All);
    }

    [Fact]
    public void A_reward_model_becomes_a_critic_of_its_own()
    {
        using var recipe = Recipe($"[{Read}, {Judge}, {Please}]");
        string[] ppo = ["--set", "stages.please.by={kind: ppo, critic: judge}"];
        var run = recipe.Run("run", ppo);
        Assert.True(run.Code == 0, run.All);
        Assert.True(File.Exists(recipe.At("run", "stages", "03-please", "critic", "model.safetensors")));
        Assert.NotEqual(
            File.ReadAllBytes(recipe.At("run", "stages", "02-judge", "model", "model.safetensors")),
            File.ReadAllBytes(recipe.At("run", "stages", "03-please", "critic", "model.safetensors")));
        Assert.NotEmpty(Figures(recipe, "run", "rollout explained variance"));
        Assert.Equal(0, recipe.Run("parts", [.. ppo, "--stop-after-step", "22"]).Code);
        Assert.Equal(0, recipe.Run("parts", ppo).Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Fact]
    public void Margins_come_from_a_column()
    {
        using var recipe = Recipe($"[{Judge}]");
        string[] bare = ["--set", "abilities={}", "--set", "rewards={}"];
        Assert.Equal(0, recipe.Run("plain", bare).Code);
        Assert.Equal(0, recipe.Run("wide", [.. bare, "--set", "data.pairs.fields={margin: by}"]).Code);
        Assert.True(Figures(recipe, "wide", "loss")[0] > Figures(recipe, "plain", "loss")[0] + 0.1);
        recipe.Write("pairs.jsonl", """{"prompt": "a", "chosen": "b", "rejected": "c", "margin": "much"}""" + "\n");
        var refused = recipe.Run("none", bare);
        Assert.Equal(2, refused.Code);
        Assert.Contains("has the margin 'much', which is no number", refused.Error);
    }

    [Fact]
    public void A_branch_does_not_disturb_the_main_line()
    {
        const string more = "{name: more, kind: pretrain, data: lines, steps: 3, optimizer: {rate: 1e-2}, batch: {tokens: 300}}";
        const string aside = "{name: aside, kind: pretrain, from: read, data: lines, steps: 2, optimizer: {rate: 1e-1}}";
        using var plain = Recipe($"[{Read}, {more}]");
        using var branched = Recipe($"[{Read}, {aside}, {more}]");
        string[] bare = ["--set", "abilities={}", "--set", "rewards={}"];
        Assert.Equal(0, plain.Run("run", bare).Code);
        var run = branched.Run("run", bare);
        Assert.True(run.Code == 0, run.All);
        string Weights(TinyRecipe recipe, string stage) => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(
            File.ReadAllBytes(recipe.At("run", "stages", stage, "model", "model.safetensors"))));
        Assert.Equal(Weights(plain, "02-more"), Weights(branched, "03-more"));
        Assert.NotEqual(Weights(branched, "02-aside"), Weights(branched, "03-more"));
        // A folder is a start, too, and it is the same start.
        using var named = Recipe(
            "[" + more.Replace("kind: pretrain,", "kind: pretrain, from: read-model,", StringComparison.Ordinal) + "]");
        CopyFolder(plain.At("run", "stages", "01-read", "model"), named.At("read-model"));
        run = named.Run("run", bare);
        Assert.True(run.Code == 0, run.All);
        Assert.Equal(Weights(plain, "02-more"), Weights(named, "01-more"));
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    [Theory]
    [InlineData("stages.please.from=later", "no earlier stage and no folder 'later'")]
    [InlineData("stages.please.from=please", "is this stage")]
    [InlineData("stages.please.from=judge", "leaves a model with a reward's head, and this stage needs a head over words")]
    [InlineData("rewards.liked={kind: model}", "nothing says which model scores")]
    [InlineData("rewards.liked={kind: model, stage: read}", "'read' trains no head that scores")]
    [InlineData("rewards.liked={kind: judge, stage: judge, prompt: 'good? {answer}', words: {y: 1, n: 0}}", "a judge answers in words")]
    [InlineData("rewards.liked={kind: judge, stage: read, prompt: 'good? {answer}', words: {y: 1}}", "two words or more")]
    [InlineData("rewards.liked={kind: program, command: []}", "there is no program")]
    [InlineData("rewards.liked={kind: length, least: 9, most: 3}", "more than the most of 3")]
    public void What_does_not_fit_is_refused_by_name(string set, string part)
    {
        using var recipe = Recipe($"[{Read}, {Judge}, {Please}]");
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--set", set);
        Assert.Equal(2, refused.Code);
        Assert.Contains(part, refused.Error);
    }

    [Fact]
    public void A_language_model_judges_when_it_is_asked()
    {
        using var recipe = Recipe(
            $"[{Read}, {Please}]",
            "{liked: {kind: judge, stage: read, prompt: 'is {answer} good for {prompt}', words: {e: 1, g: 0}}}");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var lines = File.ReadLines(recipe.At("run", "stages", "02-please", "rollouts", "round-001.jsonl"));
        Assert.All(lines, line => Assert.InRange(JsonNode.Parse(line)!["score"]!.GetValue<double>(), 0.0, 1.0));
    }
}
