using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text.Prompts;
using Polymath.Text;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts.Searches;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Searches for templates, label words and triggers, held against LM-BFF's and AutoPrompt's numbers.</summary>
[Trait("suite", "prompts")]
[Trait("kind", "parity")]
public sealed class SearchTests
{
    private static void None(List<string> faults) =>
        Assert.True(faults.Count == 0, $"{faults.Count} differences\n" + string.Join('\n', faults.Take(12)));

    [Fact]
    public void Few_examples_are_as_many_as_in_the_reference()
    {
        var read = new PromptCase("search", "few-shot");
        int[] labels = PromptCase.Whole(read.Settings["labels"]), others = PromptCase.Whole(read.Settings["dev_labels"]);
        Assert.All(read.Settings["cases"]!.AsArray(), settings =>
        {
            var expected = read.Expected[settings!["key"]!.GetValue<string>()]!.AsObject();
            var given = settings["arguments"]!.AsObject();
            ExampleCount Count(string end) =>
                new((int?)given["num_examples_total" + end], (int?)given["num_examples_per_label" + end]);
            var own = Count("");
            var dev = Count("_dev");
            if (dev == new ExampleCount()) dev = own;
            var sampled = given["also_sample_dev"]?.GetValue<bool>() ?? false;
            (IReadOnlyList<int> Train, IReadOnlyList<int>? Dev) Ours()
            {
                own.Checked();
                if (sampled) dev.Checked();
                var random = new RandomStream(1, "few", 0);
                var train = FewShot.Draw(labels, own, random);
                if (!sampled) return (train, null);
                return (train, settings["separate_dev_set"]!.GetValue<bool>()
                    ? FewShot.Draw(others, dev, random)
                    : FewShot.Draw(labels, dev, random, train));
            }
            if (expected.ContainsKey("error"))
            {
                Assert.Throws<InputException>(() => Ours());
                return;
            }
            var (train, developing) = Ours();
            Same(expected["train"]!.AsObject(), train, labels);
            var apart = settings["separate_dev_set"]!.GetValue<bool>();
            if (developing is null) return;
            Same(expected["dev"]!.AsObject(), developing, apart ? others : labels);
            if (!apart) Assert.Empty(train.Intersect(developing));
        });
    }

    private static void Same(JsonObject expected, IReadOnlyList<int> places, int[] labels)
    {
        Assert.Equal(places.Count, places.Distinct().Count());
        var counts = places.GroupBy(place => labels[place]).ToDictionary(group => $"{group.Key}", group => group.Count());
        if (expected["total"] is { } total) Assert.Equal((int)total!, places.Count);
        else if (expected["at most per label"] is { } most) Assert.All(counts.Values, count => Assert.InRange(count, 0, (int)most!));
        else Assert.Equal(expected.ToDictionary(entry => entry.Key, entry => (int)entry.Value!), counts);
    }

    [Fact]
    public void Label_words_are_found_like_the_reference()
    {
        using var scope = NewDisposeScope();
        var read = new PromptCase("search", "lmbff-labels");
        using var given = SafetensorsFile.Open(Path.Combine(read.Folder, "expected.safetensors"));
        var name = read.Settings["model"]!.GetValue<string>();
        var tokenizer = PromptCase.Tokenizer(name);
        var labels = given.Map("labels").data<long>().ToArray();
        var scores = given.Map("log_probs_at_mask");
        var faults = new List<string>();
        bool Allowed(int token) => tokenizer.TokenOf(token).StartsWith('Ġ');
        foreach (var settings in read.Settings["cases"]!.AsArray().Select(entry => entry!.AsObject()))
        {
            var key = settings["key"]!.GetValue<string>();
            var expected = read.Expected[key]!;
            var isScript = key.StartsWith("script", StringComparison.Ordinal);
            var count = (int)(settings["k_likely"] ?? settings["label_word_num_per_class"])!;
            var likely = LabelWordSearch.Likely(isScript ? scores : scores.exp(), labels, count, Allowed);
            Numbers.Close(
                $"{key}: likely",
                Numbers.Of(expected["likely"] ?? expected["candidates"]),
                [.. likely.SelectMany(label => label.Select(word => (double)word.Token))],
                faults);
            if (expected["candidate_scores"] is { } means)
                Numbers.Close(
                    $"{key}: means", Numbers.Of(means), [.. likely.SelectMany(label => label.Select(word => word.Score))], faults);
            IReadOnlyList<IReadOnlyList<long>> candidates = [.. likely.Select(label => label.Select(word => word.Token).ToList())];
            if (settings["seed_labels"] is JsonArray seeds)
            {
                using var model = ModelFolder.Open(PromptCase.Model(name));
                candidates = [.. candidates.Select((words, label) => LabelWordSearch.Nearest(
                    model.Tokens.Head.Value,
                    tokenizer.IdOf(seeds[label]!.GetValue<string>())!.Value,
                    [.. words],
                    (int)settings["k_neighbors"]!))];
            }
            var all = LabelWordSearch.Combinations(scores, labels, candidates);
            if (expected["group_scores"] is { } groups)
                Numbers.Close($"{key}: groups", Numbers.Of(groups), [.. all.Select(choice => choice.Accuracy)], faults);
            var best = LabelWordSearch.Top(all, (int)(settings["top_n"] ?? settings["candidate_num"])!);
            Numbers.Close(
                $"{key}: best",
                Numbers.Of(expected["kept_scores"] ?? expected["scores"]),
                [.. best.Select(choice => choice.Accuracy)],
                faults);
        }
        None(faults);
    }

    [Fact]
    public void Templates_are_written_like_the_reference()
    {
        var read = new PromptCase("search", "lmbff-templates");
        var words = WordVerbalizerTests.Words(read.Settings["label_words"]!);
        var faults = new List<string>();
        foreach (var settings in read.Settings["cases"]!.AsArray().Select(entry => entry!.AsObject()))
        {
            var key = settings["key"]!.GetValue<string>();
            var expected = read.Expected[key]!;
            var name = settings["model"]!.GetValue<string>();
            var tokens = PromptCase.Tokens(name);
            using var model = ModelFolder.Open(PromptCase.Model(name));
            IReadOnlyList<int[]> sources = expected["inputs"] is JsonArray inputs
                ? [.. inputs.Select(PromptCase.Whole)]
                : Sources(settings, name, read.Settings["examples"]!.AsArray(), words);
            var asked = new TemplateSettings(
                (int)(settings["beam_width"] ?? settings["beam"])!,
                (int)settings["max_length"]!,
                (int?)settings["target_number"] ?? 2,
                tokens.Sentinels,
                tokens.End!.Value,
                (int)read.Settings["sentence_end_id"]!,
                PromptCase.Whole(settings["forbidden_word_ids"] ?? settings["forbidden"]),
                settings["length_limit"] is JsonArray limit ? PromptCase.Whole(limit) : null);
            var beams = TemplateSearch.Find(
                model,
                sources,
                0,
                asked,
                TestContext.Current.CancellationToken);
            var theirs = expected["beams"]!.AsArray();
            if (!theirs.SelectMany(beam => PromptCase.Whole(beam!["ids"])).SequenceEqual(beams.SelectMany(beam => beam.Ids)))
                faults.Add($"{key}: {string.Join(' ', beams[0].Ids)} for {theirs[0]!["ids"]!.ToJsonString()}");
            Numbers.Within(
                $"{key}: scores",
                [.. theirs.Select(beam => beam!["score"]!.GetValue<double>())],
                [.. beams.Select(beam => beam.Score)],
                (1e-5, faults));
        }
        None(faults);
    }

    private static IReadOnlyList<int[]> Sources(
        JsonObject settings,
        string name,
        JsonArray examples,
        IReadOnlyList<IReadOnlyList<string>> words)
    {
        var template = PromptTemplate.Hard(settings["template"]!.GetValue<string>());
        var prompts = PromptCase.Prompts(name, new JsonObject { ["max_seq_length"] = 512, ["decoder_max_length"] = 128 });
        return [.. examples.Select(entry =>
        {
            var example = PromptCase.Example(entry!);
            var meta = new Dictionary<string, string>(example.Meta) { ["labelword"] = words[example.Label!.Value][0] };
            return prompts.Encode(template, example with { Meta = meta }).Ids;
        })];
    }

    public static TheoryData<string> Triggers => [.. PromptCase.Names("search", "autoprompt-")];

    [Theory]
    [MemberData(nameof(Triggers))]
    public void Triggers_are_scored_like_the_reference(string name)
    {
        using var scope = NewDisposeScope();
        using var triggers = new TriggerCase(new PromptCase("search", name));
        None(triggers.Faults());
    }
}
