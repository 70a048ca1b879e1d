using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>A labelled row that a task may look at before its first step.</summary>
/// <param name="Name">Its name in messages.</param>
/// <param name="Fields">Its fields.</param>
/// <param name="Label">The number of its label.</param>
public sealed record TaskRow(string Name, IReadOnlyDictionary<string, string> Fields, int Label);

/// <summary>
/// What a task finds in training rows before its first step, with the model as it is: the words of labels, what they are calibrated by, the
/// start of prototypes, the shares of several prompts, and demonstrations. All of it follows from the model, the rows and the seed.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="method">The settings.</param>
/// <param name="rows">The training rows, in the order in which they are looked at.</param>
/// <param name="seed">The seed of the task.</param>
/// <param name="most">The most tokens of a row in training.</param>
public sealed class TaskLook(
    TextModel model,
    PromptMethod method,
    IReadOnlyList<TaskRow> rows,
    ulong seed,
    int most = int.MaxValue)
{
    private const int AtOnce = 16, SharedRows = 200;

    private readonly Dictionary<string, Tensor> starts = new(StringComparer.Ordinal);

    /// <summary>Makes a task.</summary>
    /// <param name="task">The task, with the words of a knowledge base in it.</param>
    /// <exception cref="InputException">The model cannot read a template or a label's words, or there are too few rows.</exception>
    public AskedTask Made(PromptTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        try
        {
            var specs = method.Asks();
            List<TaskPrompt> found = [.. task.Prompts.Select((prompt, p) => prompt with
            {
                Verbalizer = Looked(task, p, specs[p].Verbalizer!),
            })];
            task = task with { Prompts = found, Demonstrations = Chosen(task) };
            if (task.Together == PromptsTogether.Accuracy && task.Prompts.Count > 1) starts[AskedTask.Shares] = Accuracies(task);
            return AskedTask.Fresh(
                model,
                task,
                seed,
                starts);
        }
        finally
        {
            foreach (var start in starts.Values) start.Dispose();
        }
    }

    private TaskDemonstrations? Chosen(PromptTask task)
    {
        if (method.Demonstrations is not { } spec) return null;
        var fields = task.Fields();
        return new TaskDemonstrations(
            spec.Each,
            spec.Like,
            spec.Contexts,
            spec.Between,
            (long)RandomStream.Mix(seed),
            [
                .. rows.GroupBy(row => row.Label).SelectMany(label => label.Take(spec.From)).Select(row => new TaskExample(
                    fields.ToDictionary(field => field, field => row.Fields.GetValueOrDefault(field, "")), row.Label)),
            ]);
    }

    private TaskVerbalizer Looked(PromptTask task, int prompt, VerbalizerSpec spec)
    {
        var found = task.Prompts[prompt].Verbalizer;
        var looked = spec switch { KnowledgeSpec knowledge => knowledge.Rows, WordSearchSpec search => search.Rows, _ => 0 };
        var weighed = spec.Calibration is ContextualSpec contextual ? contextual.Rows : looked;
        var count = Math.Max(looked, weighed);
        if (count == 0 && spec is not PrototypesSpec) return found;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var before = AskedTask.Before(task, prompt);
        if (spec is PrototypesSpec prototypes)
        {
            Prototypes(
                task,
                prompt,
                prototypes,
                before);
            return found;
        }
        var logits = model.Model.Unembed(States(task, prompt, [.. rows.Take(count)]).select(1, 0)).to(ScalarType.Float32);
        Tensor First(int rows) => logits.narrow(0, 0, Math.Min(rows, logits.size(0)));
        found = spec switch
        {
            WordSearchSpec search => Searched(
                task,
                found,
                search,
                First(looked)),
            KnowledgeSpec knowledge => Refined(
                task,
                found,
                knowledge,
                First(looked)),
            _ => found,
        };
        if (found.Contextual)
            starts[before + "verbalizer.prior"] = First(weighed).softmax(-1).mean([0]).log().clamp(min: -60).DetachFromDisposeScope();
        return found;
    }

    // The states where a prompt's answers are read [n, answers, hidden], whatever its verbalizer is.
    private Tensor States(PromptTask task, int prompt, IReadOnlyList<TaskRow> some)
    {
        var bare = task with
        {
            Prompts = [.. task.Prompts.Select(one => one with
            {
                Verbalizer = new TaskVerbalizer(TaskVerbalizer.Nothing) { Answers = one.Verbalizer.Answers },
            })],
            Demonstrations = null,
            Together = PromptsTogether.Mean,
        };
        using var asked = AskedTask.Fresh(model, bare, seed);
        using var on = asked.On(model.Model);
        return cat([.. some.Chunk(AtOnce).Select(part =>
        {
            List<TokenRow> laid = [.. part.SelectMany(row => asked.Prompts[prompt].Rows(row.Name, row.Fields, Room))];
            using var batch = model.Model.Lay(laid);
            return AskedStates.At(model.Model, batch, laid).States;
        })], 0);
    }

    // Rows are looked at as they are trained.
    private int Room => Math.Min(most, model.Model.Sizes.ContextLength - model.Model.VirtualTokens);

    // PETAL's search among tokens that are words: letters, not a part of a longer word's end, nothing special.
    private TaskVerbalizer Searched(
        PromptTask task,
        TaskVerbalizer found,
        WordSearchSpec spec,
        Tensor logits)
    {
        var tokenizer = model.Tokenizer;
        var special = tokenizer.SpecialTokens.Values.ToHashSet();
        long[] allowed =
        [
            .. Enumerable.Range(0, Math.Min(tokenizer.VocabularySize, (int)logits.size(1)))
                .Where(id => !special.Contains(id) && IsWord(tokenizer, id)).Select(id => (long)id),
        ];
        if (allowed.Length < task.Labels.Count * spec.Each)
            throw new InputException($"The vocabulary has {allowed.Length} words of letters alone, fewer than verbalizer.each "
                + $"{spec.Each} for {task.Labels.Count} labels. Write the words yourself: verbalizer: {{words: {{LABEL: WORD}}}}.");
        using var search = new AutomaticVerbalizer(task.Labels.Count, new WordSearch(
            spec.Score == FoundBy.Ratio ? WordScore.LikelihoodRatio : WordScore.CrossEntropy,
            spec.Balanced,
            spec.Candidates,
            spec.Each));
        List<long> labels = [.. rows.Take((int)logits.size(0)).Select(row => (long)row.Label)];
        if (task.Labels.Where((_, label) => !labels.Contains(label)).ToList() is { Count: > 0 } missing)
            throw new InputException($"The search for label words looks at {labels.Count} training rows, and none of them has the label "
                + $"'{missing[0]}'. Raise verbalizer.rows.");
        search.Observe(logits.index_select(1, tensor(allowed, device: logits.device)).cpu(), labels);
        search.Find();
        var chosen = search.Words!.data<long>().ToArray().Chunk(spec.Each).ToList();
        return found with
        {
            Words = task.Labels.Select((label, l) => (label, Own: chosen[l].Select(at => tokenizer.Decode([(int)allowed[at]]))))
                .ToDictionary(pair => pair.label, pair => (IReadOnlyList<string>)[.. pair.Own]),
            Tokens = task.Labels.Select((label, l) => (label, Own: chosen[l].Select(at => (int)allowed[at])))
                .ToDictionary(pair => pair.label, pair => (IReadOnlyList<int>)[.. pair.Own]),
        };
    }

    private static bool IsWord(Tokenizer tokenizer, int id) =>
        !tokenizer.TokenOf(id).StartsWith("##", StringComparison.Ordinal)
            && tokenizer.Decode([id]).Trim() is { Length: > 0 } text && text.All(char.IsLetter);

    // KPT's refinement of the words of a knowledge base.
    private TaskVerbalizer Refined(
        PromptTask task,
        TaskVerbalizer found,
        KnowledgeSpec spec,
        Tensor logits)
    {
        var special = model.Tokenizer.SpecialTokens.Values.ToHashSet();
        bool Known(string word) => model.Tokenizer.EncodePlain(word) is { Length: > 0 } ids && !ids.Any(special.Contains)
            && ids.Length <= spec.MostTokens;
        var first = task.Labels.Select(label => found.Words?.GetValueOrDefault(label) ?? [label]).ToList();
        var words = first.Select((own, l) => (IReadOnlyList<string>)[.. own.Where(Known)]).ToList();
        for (var label = 0; label < words.Count; label++)
            if (words[label].Count == 0)
                throw new InputException($"The label '{task.Labels[label]}' has no word of at most {spec.MostTokens} tokens that is in "
                    + $"the vocabulary, among {string.Join(", ", first[label].Take(5))}. Write other words, or raise "
                    + "verbalizer.mostTokens.");
        using var refined = new KnowledgeableVerbalizer(
            words,
            model.Tokenizer,
            spec.Read,
            null,
            words.Any(own => own[0].StartsWith(' ')) ? " " : "");
        var order = logits.softmax(-1).mean([0]).argsort().to(ScalarType.Int64).cpu().data<long>().ToArray();
        var gone = order[..(int)(spec.LeastShare * order.Length)].Select(id => (int)id).ToHashSet();
        // A label's first word stays.
        refined.Keep((label, word) => word == 0 || !Array.Exists(refined.Table.Labels.Ids[label][word], gone.Contains));
        if (spec.Relevance && task.Labels.Count > 1 && logits.size(0) > 1) WordRelevance.Refine(refined, logits);
        return found with
        {
            Words = task.Labels.Select((label, l) => (label, Own: refined.Table.Labels.Words[l]))
                .ToDictionary(pair => pair.label, pair => pair.Own),
        };
    }

    private void Prototypes(
        PromptTask task,
        int prompt,
        PrototypesSpec spec,
        string before)
    {
        var byLabel = rows.GroupBy(row => row.Label).ToDictionary(label => label.Key, label => label.ToList());
        if (task.Labels.Where((_, label) => !byLabel.ContainsKey(label)).ToList() is { Count: > 0 } missing)
            throw new InputException($"No training row has the label '{missing[0]}', and prototypes need rows of each.");
        var each = Math.Min(spec.Each, byLabel.Values.Min(label => label.Count));
        List<TaskRow> some = [.. byLabel.OrderBy(label => label.Key).SelectMany(label => label.Value.Take(each))];
        var states = States(task, prompt, some).select(1, 0).to(ScalarType.Float32);
        var hidden = states.size(1);
        Tensor Random(string name, long output, long input, double bound) =>
            SoftTokens.Uniform(new RandomStream((long)seed, before + name), [output, input], bound).to(states.device);
        using var proto = new ProtoVerbalizer(
            Random("map", spec.Width, hidden, 1 / Math.Sqrt(hidden)),
            Random("prototypes", task.Labels.Count, spec.Width, Math.Sqrt(6.0 / (task.Labels.Count + spec.Width))));
        using (enable_grad())
            proto.Train(
                states,
                [.. some.Select(row => (long)row.Label)],
                spec.Epochs,
                spec.StartRate);
        starts[before + "verbalizer.map"] = proto.Map.detach().clone().DetachFromDisposeScope();
        starts[before + "verbalizer.prototypes"] = proto.Prototypes.detach().clone().DetachFromDisposeScope();
    }

    // The log of each prompt's accuracy over training rows.
    private Tensor Accuracies(PromptTask task)
    {
        using var frozen = no_grad();
        using var asked = AskedTask.Fresh(
            model,
            task with { Together = PromptsTogether.Mean },
            seed,
            starts);
        using var on = asked.On(model.Model);
        var some = rows.Take(SharedRows).ToList();
        var right = new float[task.Prompts.Count];
        foreach (var part in some.Chunk(AtOnce))
        {
            using var scope = NewDisposeScope();
            List<TokenRow> laid = [.. part.SelectMany(row => asked.Rows(row.Name, row.Fields, Room))];
            using var batch = model.Model.Lay(laid);
            var said = asked.Each(model.Model, batch, laid).argmax(-1).cpu();
            for (var p = 0; p < right.Length; p++)
                right[p] += said[p].data<long>().ToArray().Zip(part).Count(pair => pair.First == pair.Second.Label);
        }
        return tensor(Array.ConvertAll(right, count => MathF.Log(Math.Max(count, 0.5f) / Math.Max(1, some.Count))))
            .to(model.Model.Device).DetachFromDisposeScope();
    }
}
