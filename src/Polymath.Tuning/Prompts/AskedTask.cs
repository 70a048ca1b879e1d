using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A task that a model is asked by prompts, with all that belongs to the prompts themselves: soft tokens, what verbalizers learn, and the
/// weights of several prompts. A text has a row for each prompt and each set of demonstrations.
/// </summary>
public sealed class AskedTask : IDisposable
{
    private readonly TaskWeights weights;
    private readonly List<AskedPrompt> prompts = [];
    private readonly InlinePrompt? soft;
    private readonly Weight? shares;
    private readonly Demonstrations? demonstrations;
    private readonly int context;
    private readonly AskedChain? chain;

    private AskedTask(
        TextModel model,
        PromptTask task,
        TaskWeights weights,
        ulong seed)
    {
        (Task, this.weights, context) = (task, weights, model.Model.Sizes.ContextLength - model.Model.VirtualTokens);
        try
        {
            for (var i = 0; i < task.Prompts.Count; i++) prompts.Add(Prompt(model, i, seed));
            if (task.Chain is not null)
                chain = new AskedChain(
                    model,
                    task,
                    prompts[0],
                    weights.Take,
                    seed);
            soft = SoftTokens.Of([.. prompts.Concat(chain?.Earlier ?? []).Select(prompt => prompt.Soft).OfType<InlinePrompt>()]);
            if (prompts.Count > 1 && task.Together is PromptsTogether.Learned or PromptsTogether.Accuracy)
                shares = weights.Take(Shares, () => zeros(prompts.Count, device: model.Model.Device), task.Together
                    == PromptsTogether.Learned);
            if (task.Demonstrations is { } given) demonstrations = new Demonstrations(model, given, task.Fields());
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private AskedPrompt Prompt(TextModel model, int number, ulong seed)
    {
        var before = Before(Task, number);
        try
        {
            return new AskedPrompt(
                model,
                Task.Prompts[number],
                Task.LastLabels,
                (name, fresh, trains) => weights.Take(before + name, fresh, trains),
                (prompts.Sum(prompt => prompt.Reader.SoftCount), RandomStream.Mix(seed + (ulong)number)),
                Task.Spans is null ? [] : [SpansSpec.Span]);
        }
        catch (InputException e) when (Task.Prompts.Count > 1)
        {
            throw new InputException($"Prompt {number + 1} of {Task.Prompts.Count}: {e.Message}", e);
        }
    }

    /// <summary>The name of the prompts' weights: the logs of their shares, up to their sum.</summary>
    internal const string Shares = "together.weights";

    /// <summary>What stands before the names of a prompt's weights.</summary>
    internal static string Before(PromptTask task, int prompt) => task.Prompts.Count == 1 ? "" : $"prompts.{prompt}.";

    /// <summary>A task before anything is learned.</summary>
    /// <param name="model">The model, from whose words soft tokens and labels start.</param>
    /// <param name="task">The task.</param>
    /// <param name="seed">Whatever else starts at random.</param>
    /// <param name="starts">Weights that start from what was found before, by name; null for none.</param>
    /// <exception cref="InputException">The model cannot read a template or a label's words.</exception>
    public static AskedTask Fresh(
        TextModel model,
        PromptTask task,
        ulong seed,
        IReadOnlyDictionary<string, Tensor>? starts = null) => new(
        model,
        task,
        TaskWeights.Fresh(starts),
        seed);

    /// <summary>A task as a stage has left it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="task">The task.</param>
    /// <param name="folder">The folder it was read from.</param>
    /// <exception cref="InputException">What it has learned is missing, or the model cannot read it.</exception>
    public static AskedTask Open(TextModel model, PromptTask task, string folder) => new(
        model,
        task,
        TaskWeights.Open(folder),
        0);

    /// <summary>The task.</summary>
    public PromptTask Task { get; }

    /// <summary>The weights of its own that are trained with the model.</summary>
    public IReadOnlyList<Weight> Weights => [.. weights.All.Where(weight => weight.Trainable)];

    /// <summary>What is worth knowing before the first step, as sentences.</summary>
    public IEnumerable<string> Notes => prompts.SelectMany((prompt, p) => (prompt.Words?.Shortened ?? [])
        .Concat(prompt.Reader.Template.Remarks).Concat(Found(p))).Concat((chain?.Earlier ?? []).SelectMany(prompt =>
        (prompt.Words?.Shortened ?? []).Concat(prompt.Reader.Template.Remarks))).Distinct();

    // The words that were found before the first step.
    private IEnumerable<string> Found(int prompt) => Task.Prompts[prompt].Verbalizer.Kind is "knowledge" or "search"
        ? Task.Labels.Zip(prompts[prompt].Words!.Words.Words, (label, words) =>
            $"'{label}' is read by {words.Count:N0} words, such as {string.Join(", ", words.Take(5).Select(word => $"'{word}'"))}")
        : [];

    /// <summary>Its prompts.</summary>
    internal IReadOnlyList<AskedPrompt> Prompts => prompts;

    /// <summary>The questions that are asked one after the other; null where a text is one question.</summary>
    public AskedChain? Chain => chain;

    private int Contexts => demonstrations?.Contexts ?? 1;

    /// <summary>Gives a model the vectors of the task's soft tokens until the result is disposed.</summary>
    /// <param name="model">The model.</param>
    public IDisposable On(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var before = model.Tokens.Inline;
        model.Tokens.Inline = soft;
        return new Back(() => model.Tokens.Inline = before);
    }

    /// <summary>The rows that ask about a text: of each prompt, for each set of demonstrations.</summary>
    /// <param name="name">The text's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens of each; fields are cut where there are more, and demonstrations take what is left.</param>
    /// <exception cref="InputException">A field is missing, or what may not be cut is too long.</exception>
    public IReadOnlyList<TokenRow> Rows(string name, IReadOnlyDictionary<string, string> fields, int most = int.MaxValue)
    {
        if (demonstrations is null) return [.. prompts.SelectMany(prompt => prompt.Rows(name, fields, most))];
        var room = Math.Min(most, context);
        return [.. prompts.SelectMany(prompt => Leads(
            prompt,
            name,
            fields,
            room).SelectMany(lead => prompt.Rows(
            name,
            fields,
            room,
            lead)))];
    }

    /// <summary>Whether a prompt scores texts behind the words of labels; texts are learned behind those of their own.</summary>
    public bool LearnsTexts => prompts.Exists(prompt => prompt.ScoresTexts);

    /// <summary>Whether rows that ask about one text may begin alike, so that they are laid with a common beginning.</summary>
    public bool SharesBeginnings => prompts.Exists(prompt => prompt.RowsEach > 1);

    /// <summary>The rows by which a text is learned: of prompts that score it, those with the words of its label.</summary>
    /// <param name="name">The text's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="label">The number of its label.</param>
    /// <param name="most">The most tokens of each.</param>
    /// <exception cref="InputException">A field is missing, or what may not be cut is too long.</exception>
    public IReadOnlyList<TokenRow> LearnedRows(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int label,
        int most)
    {
        var all = Rows(name, fields, most);
        if (!LearnsTexts) return all;
        var own = new List<TokenRow>();
        var at = 0;
        foreach (var prompt in prompts)
            for (var context = 0; context < Contexts; context++)
            {
                own.AddRange(prompt.Learned(label, all.Skip(at).Take(prompt.RowsEach)));
                at += prompt.RowsEach;
            }
        return own;
    }

    /// <summary>
    /// What texts cost that are learned behind the words of their labels [n]: −log p(text | label), divided by the text's tokens; of a
    /// prompt that reads labels, −log p(label | text). The mean over prompts, and over demonstrations of a text.
    /// </summary>
    /// <param name="model">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="texts">For each of n texts, its rows by <see cref="LearnedRows"/>, and the number of its label.</param>
    public Tensor TextLosses(LanguageModel model, Batch batch, IReadOnlyList<(IReadOnlyList<TokenRow> Rows, int Label)> texts)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(texts);
        var hidden = model.Hidden(batch);
        var own = prompts.Select(_ => new List<(TokenRow Row, int At)>()).ToList();
        var at = 0;
        foreach (var (rows, label) in texts)
        {
            var next = 0;
            for (var p = 0; p < prompts.Count; p++)
                for (var left = prompts[p].LearnedRows(label) * Contexts; left > 0; left--) own[p].Add((rows[next++], at++));
        }
        return stack(prompts.Select((prompt, p) => Learned(
            prompt,
            model,
            hidden,
            batch,
            own[p],
            [.. texts.Select(text => text.Label)])), 0).mean([0]);
    }

    // What each text costs by one prompt [n].
    private Tensor Learned(
        AskedPrompt prompt,
        LanguageModel model,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows,
        IReadOnlyList<int> labels)
    {
        if (prompt.ScoresTexts)
            return AskedPrompt.TextLosses(
                model,
                hidden,
                batch,
                rows,
                [.. labels.SelectMany(label => Enumerable.Repeat(prompt.LearnedRows(label), Contexts))]).view(-1, Contexts).mean([1]);
        var scores = Averaged(prompt.Scores(
            model,
            hidden,
            batch,
            rows));
        return -scores.gather(1, tensor(labels.Select(label => (long)label).ToArray(), device: scores.device).unsqueeze(1)).squeeze(1);
    }

    /// <summary>
    /// Whether the demonstrations before a question follow from the model's own vectors. Then they are chosen anew for each measurement, as
    /// by a task that is opened again.
    /// </summary>
    public bool FollowsModel => Task.Demonstrations is { Like: DemonstrationsLike.Vectors };

    /// <summary>Chooses demonstrations by a model as it now is, from here on.</summary>
    /// <param name="model">The model, of the same tokenizer.</param>
    public void Follow(TextModel model) => demonstrations?.Follow(model);

    /// <summary>The most tokens of the rows that ask about a text, without demonstrations and without cutting.</summary>
    /// <param name="name">The text's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    public TokenRow Longest(string name, IReadOnlyDictionary<string, string> fields) =>
        prompts.SelectMany(prompt => prompt.Rows(name, fields, int.MaxValue)).MaxBy(row => row.Length)!;

    // The demonstrations of each set, in the room that the question leaves.
    private IEnumerable<IReadOnlyList<int>> Leads(
        AskedPrompt prompt,
        string name,
        IReadOnlyDictionary<string, string> fields,
        int room)
    {
        if (demonstrations is null) return [[]];
        var left = room - prompt.Rows(name, fields, room).Max(row => row.Length);
        return demonstrations.Of(fields).Select(set => demonstrations.Lead(prompt, set, left));
    }

    /// <summary>The parts of a text's prompt, with its first set of demonstrations, for people.</summary>
    /// <param name="prompt">The number of the prompt.</param>
    /// <param name="name">The text's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens.</param>
    public IReadOnlyList<PromptPart> Parts(
        int prompt,
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most)
    {
        var one = prompts[prompt];
        return one.Reader.Parts(
            name,
            fields,
            most,
            Leads(
                one,
                name,
                fields,
                most).First());
    }

    /// <summary>What stands for each label in a prompt: words, each with its tokens, or texts.</summary>
    /// <param name="prompt">The number of the prompt.</param>
    public IReadOnlyList<IReadOnlyList<(string Word, IReadOnlyList<int> Ids)>> WordsOf(int prompt) =>
        [.. Task.LastLabels.Select((_, label) => prompts[prompt].Spelled(label))];

    /// <summary>The log-probabilities of the labels [n, C].</summary>
    /// <param name="model">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="rows">For each of n texts, its rows by <see cref="Rows"/>.</param>
    public Tensor Scores(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows) => Joined(Each(model, batch, rows));

    /// <summary>
    /// The log-probabilities [n, C] that are learned: those of <see cref="Scores"/>, but of prompts that vote the mean of their own, so
    /// that each learns alone.
    /// </summary>
    /// <param name="model">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="rows">For each of n texts, its rows by <see cref="Rows"/>.</param>
    public Tensor Learned(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows)
    {
        var each = Each(model, batch, rows);
        return Task.Together == PromptsTogether.Majority ? each.mean([0]) : Joined(each);
    }

    /// <summary>The log-probabilities by each prompt [prompts, n, C].</summary>
    /// <param name="model">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="rows">For each of n texts, its rows by <see cref="Rows"/>.</param>
    internal Tensor Each(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(rows);
        var hidden = model.Hidden(batch);
        return stack(prompts.Select((prompt, p) => Averaged(prompt.Scores(
            model,
            hidden,
            batch,
            RowsOf(p, rows)))), 0);
    }

    // The log-probabilities [n, C] of scores with each set of demonstrations.
    private Tensor Averaged(Tensor scores)
    {
        scores = scores.to(ScalarType.Float32).log_softmax(-1);
        return Contexts == 1 ? scores : scores.view(-1, Contexts, Task.Labels.Count).logsumexp(1) - Math.Log(Contexts);
    }

    // A prompt's rows of all texts, each with its place in the batch.
    private IReadOnlyList<(TokenRow Row, int At)> RowsOf(int prompt, IReadOnlyList<TokenRow> rows)
    {
        int first = prompts.Take(prompt).Sum(one => one.RowsEach * Contexts), count = prompts[prompt].RowsEach * Contexts,
            all = prompts.Sum(one => one.RowsEach * Contexts);
        return [.. Enumerable.Range(0, rows.Count).Where(at => at % all >= first && at % all < first + count)
            .Select(at => (rows[at], at))];
    }

    // One answer of several prompts' [prompts, n, C].
    private Tensor Joined(Tensor each) => JoinedAnswers.Of(each, Task.Together, shares?.Value);

    /// <summary>Why labels are named: what each prompt says, and by which words.</summary>
    /// <param name="model">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="rows">For each of n texts, its rows by <see cref="Rows"/>.</param>
    internal AskedReasons Why(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows)
    {
        var each = Each(model, batch, rows);
        var hidden = model.Hidden(batch);
        return new AskedReasons(
            Joined(each),
            each,
            [.. JoinedAnswers.LogShares(prompts.Count, shares?.Value, each.device).exp().cpu().data<float>().ToArray()],
            [.. prompts.Select((prompt, p) => prompt.WordShares(
                model,
                hidden,
                batch,
                RowsOf(p, rows)) is { } words ? words.view(-1, Contexts, words.size(1), words.size(2)).mean([1]) : null)]);
    }

    /// <summary>Writes the task and its weights.</summary>
    /// <param name="folder">The folder.</param>
    public void Save(string folder)
    {
        Task.Save(folder);
        weights.Save(folder);
    }

    /// <summary>Frees the weights and the tables of words.</summary>
    public void Dispose()
    {
        foreach (var prompt in prompts) prompt.Dispose();
        chain?.Dispose();
        weights.Dispose();
    }

    private sealed class Back(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
