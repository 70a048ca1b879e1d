using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>Templates, filled prompts and their tokens, held against OpenPrompt's.</summary>
[Trait("suite", "prompts")]
[Trait("kind", "parity")]
public sealed class WrapTests
{
    public static TheoryData<string> Cases => [.. PromptCase.Names("wrap")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Prompts_become_the_tokens_of_the_reference(string name)
    {
        var read = new PromptCase("wrap", name);
        var faults = new List<string>();
        foreach (var (tokenizer, expected) in read.Expected)
            Compare(read.Settings, tokenizer, expected!.AsObject(), faults);
        Assert.True(faults.Count == 0, $"{faults.Count} differences\n" + string.Join('\n', faults.Take(12)));
    }

    private static void Compare(JsonObject settings, string tokenizer, JsonObject expected, List<string> faults)
    {
        var template = PromptCase.Template(
            settings["template"]!.GetValue<string>(), settings["template_class"]!.GetValue<string>(), tokenizer);
        var examples = settings["examples"]!.AsObject()
            .ToDictionary(example => example.Key, example => PromptCase.Example(example.Value!));
        if (expected["soft_initial_rows"] is JsonObject rows)
        {
            if (template.InitialIds.Count != expected["num_soft_token"]!.GetValue<int>()) faults.Add($"{tokenizer}: number of soft tokens");
            foreach (var (id, row) in rows)
                if (template.InitialIds[int.Parse(id) - 1] != (int?)row) faults.Add($"{tokenizer}: soft token {id} starts elsewhere");
        }
        ParsedBlocks.Compare(template, expected["parsed"]!.AsArray(), tokenizer, faults);
        foreach (var (example, segments) in expected["segments"]!.AsObject())
            if (segments!["pieces"] is JsonArray pieces)
                Pieces(template.Wrap(examples[example]), pieces, $"{tokenizer}: {example}", faults);
        foreach (var run in expected["runs"]!.AsArray())
        {
            var prompts = PromptCase.Prompts(tokenizer, run!["settings"]!.AsObject(), settings["wrapper"]![tokenizer]!.GetValue<string>());
            foreach (var (example, features) in run["features"]!.AsObject())
            {
                if (example == "marks") continue;
                var where = $"{tokenizer}, {run["settings"]!.ToJsonString()}, {example}";
                Features(
                    () => prompts.Encode(template, examples[example]),
                    features!.AsObject(),
                    tokenizer,
                    where,
                    faults);
            }
        }
    }

    private static void Pieces(IReadOnlyList<PromptPiece> pieces, JsonArray expected, string where, List<string> faults)
    {
        if (pieces.Count != expected.Count)
        {
            faults.Add($"{where}: {pieces.Count} pieces, not {expected.Count}");
            return;
        }
        for (var i = 0; i < pieces.Count; i++)
        {
            var (piece, wanted) = (pieces[i], expected[i]!);
            if (piece.Text != (wanted["text"]?.GetValue<string>() ?? "")) faults.Add($"{where}: piece {i} is '{piece.Text}'");
            if (piece.Loss != (int)wanted["loss_ids"]!) faults.Add($"{where}: loss of piece {i}");
            if ((piece.MayBeCut ? 1 : 0) != (int)wanted["shortenable_ids"]!) faults.Add($"{where}: shortening of piece {i}");
            if (piece.SoftId != ((int?)wanted["soft_token_ids"] ?? 0)) faults.Add($"{where}: soft token of piece {i}");
        }
    }

    private static void Features(
        Func<PromptRow> encode,
        JsonObject features,
        string tokenizer,
        string where,
        List<string> faults)
    {
        var expected = (features["right"] ?? features["peer"])!.AsObject();
        PromptRow row;
        try
        {
            row = encode();
        }
        catch (InputException e)
        {
            if (!expected.ContainsKey("error")) faults.Add($"{where}: {e.Message}");
            return;
        }
        if (expected.ContainsKey("error"))
        {
            faults.Add($"{where}: an error is wanted");
            return;
        }
        int padding = PromptCase.Tokens(tokenizer).Padding ?? 0, length = expected["input_ids"]!.AsArray().Count;
        void Same(string name, IEnumerable<int> values, int filler, int? to = null)
        {
            if (expected[name] is not JsonArray wanted) return;
            int[] padded = [.. values];
            padded = [.. padded, .. Enumerable.Repeat(filler, Math.Max(0, (to ?? length) - padded.Length))];
            if (!padded.SequenceEqual(PromptCase.Whole(wanted)))
                faults.Add($"{where}: {name}\n  {string.Join(' ', padded)}\n  {string.Join(' ', PromptCase.Whole(wanted))}");
        }
        Same("input_ids", row.Ids, padding);
        Same("attention_mask", row.Ids.Select(_ => 1), 0);
        Same("soft_token_ids", row.SoftIds, 0);
        Same("token_type_ids", row.Ids.Select(_ => 0), 0);
        var decoder = expected["decoder_input_ids"]?.AsArray().Count;
        Same("loss_ids", row.LossIds, 0, decoder);
        Same("decoder_input_ids", row.DecoderIds ?? [], padding, decoder);
        if (expected["input_ids_len"] is { } count && (int)count != row.Ids.Length) faults.Add($"{where}: length {row.Ids.Length}");
        if (expected["encoded_tgt_text"] is JsonArray targets
            && !targets.Select(PromptCase.Whole).SelectMany(x => x).SequenceEqual(row.Targets.SelectMany(x => x)))
            faults.Add($"{where}: targets");
    }

    [Fact]
    public void Broken_templates_and_settings_are_refused_with_a_reason()
    {
        var read = new PromptCase("wrap-errors");
        var example = PromptCase.Example(read.Settings["example"]!);
        Assert.All(read.Settings["cases"]!.AsArray(), entry =>
        {
            var fault = Record.Exception(() =>
            {
                var tokenizer = entry!["tokenizer"]!.GetValue<string>();
                var prompts = PromptCase.Prompts(tokenizer, entry["settings"]!.AsObject());
                var template = PromptCase.Template(
                    entry["template"]!.GetValue<string>(), entry["template_class"]!.GetValue<string>(), tokenizer);
                prompts.Encode(template, example);
            });
            if (entry!["want"]!.GetValue<string>() == "error") Assert.NotNull(fault);
            if (fault is not null) Assert.IsType<InputException>(fault);
        });
    }
}
