using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>One prompt of a task, made for a model: its template, its soft tokens, and how its answers are read.</summary>
internal sealed class AskedPrompt : IDisposable
{
    private readonly IReadOnlyList<TokenRow> contentFree;
    private readonly LabelReading reading;

    /// <summary>A prompt.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="labels">The labels, in order.</param>
    /// <param name="take">Gives a weight by its name and its first values.</param>
    /// <param name="at">The number of its first soft token, and the seed of what starts at random.</param>
    /// <exception cref="InputException">The model cannot read the template or the words.</exception>
    internal AskedPrompt(
        TextModel model,
        TaskPrompt prompt,
        IReadOnlyList<string> labels,
        Func<string, Func<Tensor>, Weight> take,
        (int FirstSoft, ulong Seed) at)
    {
        Reader = new PromptReader(
            model,
            new AskSpec(prompt.Template, Cut: prompt.Cut, Encoder: prompt.Encoder),
            firstSoft: at.FirstSoft);
        contentFree = Reader.ContentFree(prompt.Verbalizer.ContentFree);
        Words = TaskWords.Of(labels, prompt.Verbalizer.Words, model.Tokenizer, prompt.Verbalizer.Reading);
        if (Reader.Template.SoftTokens.Count > 0)
            Soft = SoftTokens.Of(
                model.Model,
                Reader.Template,
                prompt.Encoder,
                take,
                at.Seed);
        reading = prompt.Verbalizer.Kind switch
        {
            "words" => new WordLabels(Words.Verbalizer(contentFree.Count > 0)),
            "soft" => new SoftLabels(model.Model, Words.Words, take),
            var other => throw new InputException($"The task's verbalizer is of the kind '{other}', which is not known here."),
        };
    }

    /// <summary>Turns rows into tokens.</summary>
    internal PromptReader Reader { get; }

    /// <summary>The labels' words.</summary>
    internal TaskWords Words { get; }

    /// <summary>Its soft tokens; null for none.</summary>
    internal InlinePrompt? Soft { get; }

    /// <summary>The labels' scores [n, C].</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">The states of a batch.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows that are this prompt's, each with its place in the batch.</param>
    internal Tensor Scores(
        LanguageModel model,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows)
    {
        var bare = contentFree.Count == 0 ? null : Bare(model, rows[0].Row.Data);
        return reading.Scores(new AskedStates(model, AskedStates.Of(hidden, batch, rows), bare));
    }

    // The model as it is reads the rows that say nothing; rows of one adapter stay with it.
    private Tensor Bare(LanguageModel model, string? data)
    {
        using var frozen = no_grad();
        List<TokenRow> empty = [.. contentFree.Select(row => row with { Data = data })];
        using var batch = model.Lay(empty);
        return AskedStates.Of(model.Hidden(batch), batch, [.. empty.Select((row, at) => (row, at))]);
    }

    /// <inheritdoc/>
    public void Dispose() => reading.Dispose();
}
