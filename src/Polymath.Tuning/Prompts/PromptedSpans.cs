using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Tuning.Prompts;

/// <summary>Finds the entities of sentences with a model that is asked by prompts, span by span.</summary>
public sealed class PromptedSpans : IDisposable
{
    private readonly AskedTask asked;
    private readonly IDisposable on;
    private readonly SpanReader reader;

    /// <summary>A finder.</summary>
    /// <param name="model">The model.</param>
    /// <param name="task">The task, which asks for spans.</param>
    /// <param name="folder">The folder that it was read from.</param>
    /// <exception cref="InputException">The model cannot read the task's template or words.</exception>
    public PromptedSpans(TextModel model, PromptTask task, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        asked = AskedTask.Open(model, task, folder);
        on = asked.On(model.Model);
        reader = new SpanReader(model.Model, asked, model.Model.Sizes.ContextLength - model.Model.VirtualTokens);
    }

    /// <summary>The words of a sentence, and the entities in it.</summary>
    /// <param name="name">Its name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <exception cref="InputException">It has no field that the template asks for, or a span does not fit into the context.</exception>
    public (IReadOnlyList<string> Words, IReadOnlyList<FoundSpan> Entities) Read(string name, IReadOnlyDictionary<string, string> fields) =>
        (reader.Words(fields), reader.Read(name, fields));

    /// <inheritdoc/>
    public void Dispose()
    {
        on.Dispose();
        asked.Dispose();
    }
}
