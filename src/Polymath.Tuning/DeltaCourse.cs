using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// What a method does around the steps of its training, where it does more than move weights along their gradients: it may look at data
/// before the first step, change its weights after each, and say otherwise what its file holds.
/// </summary>
public abstract class DeltaCourse
{
    /// <summary>
    /// What is remembered between two steps, by name; a checkpoint keeps it. The tensors are changed in place, and their shapes stay.
    /// </summary>
    public virtual IReadOnlyDictionary<string, Tensor> Memory { get; } = new Dictionary<string, Tensor>();

    /// <summary>Whether it looks at data before the first step.</summary>
    public virtual bool Looks => false;

    /// <summary>Looks at data. What comes of it is in the file that is saved next, from which the training then starts.</summary>
    /// <param name="losses">The mean loss of each row of the data, with a gradient; a loss lives until the next one is asked for.</param>
    public virtual void Look(IEnumerable<Tensor> losses)
    {
    }

    /// <summary>Whether it is told of each step.</summary>
    public virtual bool Follows => false;

    /// <summary>Says how long the training will be, before its first step.</summary>
    /// <param name="steps">The number of steps.</param>
    public virtual void Begin(int steps)
    {
    }

    /// <summary>Is told of a step when the weights have moved.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="gradients">What the weights were moved along: the mean gradients, clipped.</param>
    public virtual void Stepped(int step, IReadOnlyDictionary<Weight, Tensor> gradients)
    {
    }

    /// <summary>Changes what the file will hold.</summary>
    /// <param name="content">The tensors by their names in files.</param>
    public virtual void Saving(Dictionary<string, Tensor> content)
    {
    }
}
