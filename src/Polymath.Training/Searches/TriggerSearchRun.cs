using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Searches;
using static TorchSharp.torch;

namespace Polymath.Training.Searches;

/// <summary>The settings of a search for trigger words.</summary>
/// <param name="Triggers">How many words are searched.</param>
/// <param name="Candidates">How many are tried of those that the gradient names.</param>
/// <param name="Iterations">How often a word is exchanged.</param>
/// <param name="Restarts">How often it starts anew from random words.</param>
/// <param name="Batch">The rows that a gradient is computed on, and others on which candidates are tried.</param>
/// <param name="Forbidden">Words that are never chosen.</param>
/// <param name="Seed">The run's seed.</param>
/// <param name="Beams">How many triggers an exchange keeps.</param>
internal sealed record TriggerSettings(
    int Triggers,
    int Candidates,
    int Iterations,
    int Restarts,
    int Batch,
    IReadOnlyCollection<string> Forbidden,
    long Seed,
    int Beams = 1);

/// <summary>Where a search for trigger words stands: the next exchange depends on this and on the seed alone.</summary>
/// <param name="Restart">The restart.</param>
/// <param name="Iteration">The exchanges of this restart that are done.</param>
/// <param name="Tokens">The words now, the best ones.</param>
/// <param name="Found">What was accepted and scored so far.</param>
/// <param name="Others">The other triggers that go on, the better ones first; null for none.</param>
internal sealed record TriggerState(
    int Restart,
    int Iteration,
    int[] Tokens,
    IReadOnlyList<SearchCandidate> Found,
    IReadOnlyList<int[]>? Others = null);

/// <summary>
/// AutoPrompt (Shin et al. 2020): words before the answer's place are exchanged one by one. The gradient at a word's place ranks the
/// vocabulary, the best few are tried on other rows, and an exchange that lowers the loss is kept. With several beams, the candidates of
/// every trigger are tried, and the best different ones go on.
/// </summary>
internal sealed class TriggerSearchRun
{
    private readonly SearchTask task;
    private readonly TriggerSettings settings;
    private readonly IReadOnlyDictionary<int, string> allowed;
    private readonly long[] excluded;
    private readonly IReadOnlyList<long[]> words;
    private readonly IReadOnlyList<TokenRow> rows;
    private readonly int[] order;
    private readonly int place;

    /// <summary>A search.</summary>
    /// <param name="task">The task.</param>
    /// <param name="settings">The settings.</param>
    /// <exception cref="InputException">No word is left to choose.</exception>
    internal TriggerSearchRun(SearchTask task, TriggerSettings settings)
    {
        (this.task, this.settings, words) = (task, settings, task.TokensOf(task.Words));
        // Trigger words are soft tokens until they are chosen.
        var soft = string.Concat(Enumerable.Repeat("{soft}", settings.Triggers));
        // A doubled brace is text, and OpenPrompt's blocks are places too, so the template is read.
        place = PromptTemplate.Written(task.Template, task.Model.Model.Reading == Reading.Decoder).Blocks.OfType<MaskBlock>().Single()
            .Position;
        rows = task.Asked(task.Template.Insert(place, soft), task.Train);
        var forbidden = settings.Forbidden.Concat(task.Words.SelectMany(pair => pair.Value.Append(pair.Key)))
            .Select(word => word.Trim().ToLowerInvariant()).ToHashSet(StringComparer.Ordinal);
        allowed = SearchWords.Allowed(task.Model.Tokenizer).Where(pair => !forbidden.Contains(pair.Value.Trim().ToLowerInvariant()))
            .ToDictionary(pair => pair.Key, pair => pair.Value);
        if (allowed.Count < 2)
            throw new InputException("No whole words are left that could be chosen: the tokenizer has too few, or they are forbidden.");
        order = [.. allowed.Keys.Order()];
        var vocabulary = task.Model.Model.Tokens.Embedding.Value.size(0);
        excluded = [.. Enumerable.Range(0, (int)vocabulary).Where(id => !allowed.ContainsKey(id)).Select(id => (long)id)];
    }

    /// <summary>The state before the first exchange of a restart.</summary>
    /// <param name="restart">The restart, from 0.</param>
    /// <param name="found">What was found before.</param>
    internal TriggerState Begin(int restart, IReadOnlyList<SearchCandidate> found)
    {
        var stream = new RandomStream(settings.Seed, "first trigger words", restart);
        var tokens = new int[settings.Triggers];
        for (var i = 0; i < tokens.Length; i++) tokens[i] = order[stream.Next(order.Length)];
        return new TriggerState(
            restart,
            0,
            tokens,
            [.. found, Scored(tokens, restart)]);
    }

    /// <summary>Whether all restarts are done.</summary>
    /// <param name="state">The state.</param>
    internal bool IsDone(TriggerState state) => state.Restart + 1 >= settings.Restarts && state.Iteration >= settings.Iterations;

    /// <summary>One exchange, or the beginning of the next restart.</summary>
    /// <param name="state">The state.</param>
    internal TriggerState Next(TriggerState state)
    {
        if (state.Iteration >= settings.Iterations) return Begin(state.Restart + 1, state.Found);
        var (one, other) = Drawn(state);
        var turn = state.Iteration % settings.Triggers;
        List<int[]> beams = [state.Tokens, .. state.Others ?? []];
        // What is now comes first, so that an exchange has to be better.
        var tried = beams.ConvertAll(tokens => (Tokens: tokens, Loss: Loss(tokens, other)));
        foreach (var tokens in beams)
            foreach (var token in Candidates(tokens, turn, one))
            {
                var made = With(tokens, turn, token);
                if (!tried.Exists(known => known.Tokens.SequenceEqual(made))) tried.Add((made, Loss(made, other)));
            }
        List<int[]> kept = [.. tried.OrderBy(pair => pair.Loss).Take(settings.Beams).Select(pair => pair.Tokens)];
        return new TriggerState(
            state.Restart,
            state.Iteration + 1,
            kept[0],
            [.. state.Found, .. Shown(state, kept).Select(tokens => Scored(tokens, state.Restart))],
            kept.Count == 1 ? null : kept[1..]);
    }

    // A new best one is scored, and all of the last exchange.
    private IEnumerable<int[]> Shown(TriggerState before, List<int[]> kept)
    {
        if (!kept[0].SequenceEqual(before.Tokens)) yield return kept[0];
        if (before.Iteration + 1 < settings.Iterations) yield break;
        foreach (var tokens in kept.Skip(1)) yield return tokens;
    }

    private static int[] With(int[] tokens, int turn, int token) => [.. tokens.Select((old, i) => i == turn ? token : old)];

    // Rows for the gradient, and others to verify by where there are enough.
    private (List<int> One, List<int> Other) Drawn(TriggerState state)
    {
        var shuffled = new Permutation(rows.Count, settings.Seed, $"trigger rows {state.Restart}", state.Iteration);
        var count = Math.Min(settings.Batch, Math.Max(1, rows.Count / 2));
        return ([.. Enumerable.Range(0, count).Select(i => shuffled[i])],
            [.. Enumerable.Range(rows.Count - count, count).Select(i => shuffled[i])]);
    }

    private Tensor Right(IReadOnlyList<int> places)
    {
        var most = words.Max(own => own.Length);
        return tensor(places.SelectMany(at =>
        {
            var own = words[task.NumberOf(task.Train[at])];
            return own.Concat(Enumerable.Repeat(-1L, most - own.Length));
        }).ToArray()).view(places.Count, most);
    }

    // The tokens that would lower the loss most in a place, to first order.
    private List<int> Candidates(int[] tokens, int turn, List<int> places)
    {
        using var scope = NewDisposeScope();
        var table = task.Model.Model.Tokens.Embedding.Value;
        var first = table.index_select(0, tensor(Array.ConvertAll(tokens, id => (long)id), device: table.device)).detach().clone();
        var vectors = new Weight("triggers", first.to(ScalarType.Float32)) { Trainable = true };
        var before = task.Model.Model.Tokens.Inline;
        task.Model.Model.Tokens.Inline = new MixedPrompt(vectors);
        try
        {
            foreach (var pass in SearchTask.Passes([.. places.Select(at => rows[at])]))
            {
                using var inner = NewDisposeScope();
                var losses = TriggerSearch.Losses(
                    task.Logits([.. pass.Select(pair => pair.Row)]), Right([.. pass.Select(pair => places[pair.At])]));
                Fused.Backpropagate(losses.sum() / places.Count);
            }
            using var frozen = no_grad();
            var scores = TriggerSearch.Scores(table.to(ScalarType.Float32), vectors.Value.grad![turn], excluded);
            return [.. TriggerSearch.Candidates(scores, Math.Min(settings.Candidates, allowed.Count)).Select(pair => (int)pair.Token)];
        }
        finally
        {
            task.Model.Model.Tokens.Inline = before;
            vectors.Value.Dispose();
        }
    }

    private double Loss(int[] tokens, List<int> places)
    {
        using var frozen = no_grad();
        double sum = 0;
        foreach (var pass in SearchTask.Passes([.. places.Select(at => Put(rows[at], tokens))]))
        {
            using var scope = NewDisposeScope();
            var logits = task.Logits([.. pass.Select(pair => pair.Row)]);
            var losses = TriggerSearch.Losses(logits, Right([.. pass.Select(pair => places[pair.At])]));
            sum += losses.sum().item<float>();
        }
        return sum / places.Count;
    }

    private TokenRow Put(TokenRow row, int[] tokens)
    {
        var start = task.Model.Model.Tokens.InlineStart;
        return row with { Ids = [.. row.Ids.Select(id => id >= start ? tokens[id - start] : id)] };
    }

    // A template is a text, so it is scored as the tokenizer reads it.
    private SearchCandidate Scored(int[] tokens, int restart)
    {
        var text = string.Join(' ', tokens.Select(token => allowed[token].Trim()));
        // What stood before the answer, a space or none, still does.
        var spaced = place == 0 || char.IsWhiteSpace(task.Template[place - 1]);
        return task.Scored(
            task.Template.Insert(place, spaced ? $"{text} " : $" {text}"),
            task.Words,
            Loss(tokens, [.. Enumerable.Range(0, rows.Count)]),
            $"restart {restart + 1}");
    }
}
