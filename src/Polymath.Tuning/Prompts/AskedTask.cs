using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A task that a model is asked by prompts, with all that belongs to the prompts themselves: soft tokens, and what verbalizers learn.
/// </summary>
public sealed class AskedTask : IDisposable
{
    private readonly TaskWeights weights;
    private readonly List<AskedPrompt> prompts = [];
    private readonly InlinePrompt? soft;

    private AskedTask(
        TextModel model,
        PromptTask task,
        TaskWeights weights,
        ulong seed)
    {
        (Task, this.weights) = (task, weights);
        try
        {
            var first = 0;
            for (var i = 0; i < task.Prompts.Count; i++)
            {
                var before = task.Prompts.Count == 1 ? "" : $"prompts.{i}.";
                prompts.Add(new AskedPrompt(
                    model,
                    task.Prompts[i],
                    task.Labels,
                    (name, fresh) => weights.Take(before + name, fresh),
                    (first, RandomStream.Mix(seed + (ulong)i))));
                first += prompts[i].Reader.SoftCount;
            }
            soft = SoftTokens.Of([.. prompts.Select(prompt => prompt.Soft).OfType<InlinePrompt>()]);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>A task before anything is learned.</summary>
    /// <param name="model">The model, from whose words soft tokens and labels start.</param>
    /// <param name="task">The task.</param>
    /// <param name="seed">Whatever else starts at random.</param>
    /// <exception cref="InputException">The model cannot read a template or a label's words.</exception>
    public static AskedTask Fresh(TextModel model, PromptTask task, ulong seed) => new(
        model,
        task,
        TaskWeights.Fresh(),
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

    /// <summary>The weights of its own, which are trained with the model.</summary>
    public IReadOnlyList<Weight> Weights => weights.All;

    /// <summary>What is worth knowing before the first step, as sentences.</summary>
    public IEnumerable<string> Notes => prompts.SelectMany(prompt => prompt.Words.Shortened.Concat(prompt.Reader.Template.Remarks));

    /// <summary>Gives a model the vectors of the task's soft tokens until the result is disposed.</summary>
    /// <param name="model">The model.</param>
    public IDisposable On(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var before = model.Tokens.Inline;
        model.Tokens.Inline = soft;
        return new Back(() => model.Tokens.Inline = before);
    }

    /// <summary>A row as each prompt asks it, in the order of the prompts.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens of each; fields are cut where there are more.</param>
    /// <exception cref="InputException">A field is missing, or what may not be cut is too long.</exception>
    public IReadOnlyList<TokenRow> Rows(string name, IReadOnlyDictionary<string, string> fields, int most = int.MaxValue) =>
        [.. prompts.Select(prompt => prompt.Reader.Row(name, fields, most))];

    /// <summary>The log-probabilities of the labels [n, C].</summary>
    /// <param name="model">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="rows">For each of n texts, its rows by <see cref="Rows"/>.</param>
    public Tensor Scores(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(rows);
        var hidden = model.Hidden(batch);
        return prompts[0].Scores(
            model,
            hidden,
            batch,
            [.. rows.Select((row, at) => (row, at))]).to(ScalarType.Float32).log_softmax(-1);
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
        weights.Dispose();
    }

    private sealed class Back(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
