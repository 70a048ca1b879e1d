using Polymath.Models;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// WARP's classes (Hambardzumyan et al. 2021): each label has a learned vector in the place of its row in the output head; a label's score
/// is its product with the state that the head would read. The vectors start as the mean of the rows of the tokens of the label's first
/// word. As in the paper there is no bias, and no factor after the head's own layers.
/// </summary>
public sealed class SoftVerbalizer : IDisposable
{
    private readonly LanguageModel model;

    /// <summary>A verbalizer.</summary>
    /// <param name="model">The model, whose head is the start.</param>
    /// <param name="words">The words of the labels.</param>
    public SoftVerbalizer(LanguageModel model, LabelWords words)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(words);
        this.model = model;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var head = model.Tokens.Head.Value.to(ScalarType.Float32);
        var start = stack(words.Ids.Select(label => head.index_select(0, tensor(Array.ConvertAll(label[0], id => (long)id))).mean([0])), 0);
        Rows = start.detach().requires_grad_(true).DetachFromDisposeScope();
    }

    /// <summary>The labels' vectors [C, hidden], which are trained.</summary>
    public Tensor Rows { get; }

    /// <summary>The labels' scores [n, C].</summary>
    /// <param name="states">The model's last hidden states [n, hidden] where the answer is read.</param>
    public Tensor Scores(Tensor states)
    {
        // A factor between the states and the head (tied T5) belongs to the words' rows, which these are not.
        var read = model.Reading == Reading.EncoderDecoder ? states : model.Readout(states);
        return nn.functional.linear(read, Rows);
    }

    /// <inheritdoc/>
    public void Dispose() => Rows.Dispose();
}
