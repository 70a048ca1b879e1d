using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tests.Text.Prompts;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Searches;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>A case of AutoPrompt: its batches on a model, with trigger tokens as soft tokens that start from their words.</summary>
internal sealed class TriggerCase : IDisposable
{
    private readonly PromptCase read;
    private readonly SafetensorsFile given;
    private readonly LanguageModel model;
    private readonly int[] trigger;
    private readonly long[][] words;
    private readonly List<string> faults = [];

    public TriggerCase(PromptCase read)
    {
        this.read = read;
        given = SafetensorsFile.Open(Path.Combine(read.Folder, "expected.safetensors"));
        var name = read.Settings["model"]!.GetValue<string>();
        model = ModelFolder.Open(PromptCase.Model(name));
        foreach (var weight in model.Weights) weight.Trainable = false;
        trigger = PromptCase.Whole(read.Expected["initial_trigger"]);
        var tokenizer = PromptCase.Tokenizer(name);
        words = [.. read.Settings["label_map"]!.AsObject().Select(label => label.Value!.AsArray()
            .Select(word => (long)(tokenizer.IdOf(word!.GetValue<string>()) ?? tokenizer.Encode(word.GetValue<string>())[0])).ToArray())];
    }

    // The logits at the answers of a batch, with given trigger tokens.
    private Tensor Logits(string batch, int[] tokens, Weight? vectors = null)
    {
        var weight = vectors ?? new Weight("trigger", Rows(tokens));
        model.Tokens.Inline = new MixedPrompt(weight);
        Tensor ids = given.Map(batch + ".input_ids"), mask = given.Map(batch + ".attention_mask").to(ScalarType.Int64),
            places = given.Map(batch + ".trigger_mask").to(ScalarType.Int64),
            answers = given.Map(batch + ".predict_mask").to(ScalarType.Int64);
        var rows = new List<PromptRow>();
        for (var r = 0; r < ids.size(0); r++)
        {
            var length = (int)mask[r].sum().item<long>();
            var own = places[r].data<long>().ToArray()[..length];
            var seen = 0;
            int[] soft = [.. own.Select(at => at != 0 ? ++seen : 0)];
            rows.Add(new(
                [.. ids[r].data<long>().ToArray()[..length].Select((id, i) => soft[i] > 0 ? 0 : (int)id)],
                soft,
                new int[length],
                null,
                [Array.IndexOf(answers[r].data<long>().ToArray(), 1L)],
                [],
                0));
        }
        return new PromptRows(model, rows).LogitsAtAnswers();
    }

    private Tensor Rows(int[] tokens) =>
        model.Tokens.Embedding.Value.index_select(0, tensor(Array.ConvertAll(tokens, id => (long)id))).detach().clone();

    private Tensor Right(string batch)
    {
        var ids = given.Map(batch + ".label_ids");
        return ids.masked_fill(ids.eq(0), -1);
    }

    private Tensor Labels(string batch)
    {
        var first = given.Map(batch + ".label_ids").select(1, 0).data<long>().ToArray();
        return tensor(first.Select(id => (long)Array.FindIndex(words, own => own.Contains(id))).ToArray());
    }

    public List<string> Faults()
    {
        var expected = read.Expected;
        var vectors = new Weight("trigger", Rows(trigger).DetachFromDisposeScope()) { Trainable = true };
        var batches = read.Settings["train_batches"]!.AsArray().Count;
        var losses = new List<double>();
        for (var b = 0; b < batches; b++)
        {
            var logits = Logits($"train.{b}", trigger, vectors);
            Numbers.Within($"logits {b}", Numbers.Of(given.Map($"train.{b}.predict_logits")), Numbers.Of(logits), (1e-4, faults));
            var loss = TriggerSearch.Losses(logits, Right($"train.{b}")).mean();
            losses.Add(Numbers.Of(loss)[0]);
            Fused.Backpropagate(loss / batches);
        }
        Numbers.Close("losses", Numbers.Of(expected["train_losses"]), [.. losses], faults);
        var gradient = vectors.Value.grad!;
        Numbers.Within("gradient", Numbers.Of(given.Map("averaged_grad")), Numbers.Of(gradient), (2e-4, faults));
        var positions = expected["positions"]!.AsArray();
        for (var place = 0; place < positions.Count; place++) Position(place, gradient[place], positions[place]!);
        Probe();
        return faults;
    }

    private void Position(int place, Tensor gradient, JsonNode expected)
    {
        var table = model.Tokens.Embedding.Value;
        long[] excluded = [.. PromptCase.Whole(read.Expected["filtered"]).Select(id => (long)id)];
        var scores = TriggerSearch.Scores(table, gradient);
        Numbers.Within($"scores {place}", Numbers.Of(given.Map($"scores.{place}")), Numbers.Of(scores), (2e-4, faults));
        var count = (int)read.Settings["num_candidates"]!;
        foreach (var kind in new[] { "filtered", "unfiltered" })
        {
            var best = TriggerSearch.Candidates(TriggerSearch.Scores(table, gradient, kind == "filtered" ? excluded : null), count);
            if (!Numbers.Of(expected[kind]!["candidates"]).SequenceEqual(best.Select(token => (double)token.Token)))
                faults.Add($"{kind} candidates of place {place}");
            Numbers.Within(
                $"{kind} {place}", Numbers.Of(expected[kind]!["scores"]), [.. best.Select(token => token.Score)], (2e-4, faults));
        }
        using var frozen = no_grad();
        var candidates = PromptCase.Whole(expected["filtered"]!["candidates"]);
        (double Loss, double Right) Held(int[] tokens)
        {
            (double Loss, double Right) sum = (0, 0);
            for (var b = 0; b < read.Settings["evaluation_batches"]!.AsArray().Count; b++)
            {
                var logits = Logits($"held.{b}", tokens);
                sum.Loss -= Numbers.Of(TriggerSearch.Losses(logits, Right($"held.{b}")).sum())[0];
                sum.Right += TriggerSearch.AreRight(logits, Labels($"held.{b}"), words).sum().item<long>();
            }
            return sum;
        }
        var held = candidates.Select(token => Held([.. trigger.Select((old, i) => i == place ? token : old)])).ToList();
        var now = Held(trigger);
        Numbers.Within($"now {place}", Numbers.Of(expected["loss"]!["current"]), [now.Loss], (2e-5, faults));
        Numbers.Within($"held {place}", Numbers.Of(expected["loss"]!["candidates"]), [.. held.Select(x => x.Loss)], (2e-5, faults));
        Numbers.Close($"right {place}", Numbers.Of(expected["accuracy"]!["candidates"]), [.. held.Select(x => x.Right)], faults);
    }

    private void Probe()
    {
        var settings = read.Read("label_search.json");
        using var file = SafetensorsFile.Open(Path.Combine(read.Folder, "label_search.safetensors"));
        var scores = TriggerSearch.LabelScores(file.Map("final.weight"), model.Tokens.Head.Value.detach());
        Numbers.Within("label scores", Numbers.Of(file.Map("final.scores")), Numbers.Of(scores), (1e-5, faults));
        var top = settings["top_ids"]!.AsArray();
        for (var label = 0; label < top.Count; label++)
        {
            var best = TriggerSearch.Candidates(scores[label], (int)settings["k"]!).Select(token => (double)token.Token);
            if (!Numbers.Of(top[label]).SequenceEqual(best)) faults.Add($"label tokens {label}");
        }
    }

    public void Dispose()
    {
        model.Prompt = null;
        given.Dispose();
        model.Dispose();
    }
}
