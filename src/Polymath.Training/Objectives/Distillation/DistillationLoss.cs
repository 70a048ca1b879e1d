using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Distillation;

/// <summary>
/// A divergence between a teacher's and a student's distributions over the whole vocabulary, both with logits divided by a temperature; it
/// is not multiplied by the temperature's square. REDUCTION: Σ over tokens / the step's tokens.
/// </summary>
/// <param name="Temperature">The temperature.</param>
public abstract record DistillationLoss(double Temperature)
{
    /// <summary>The divergence at each token [tokens].</summary>
    /// <param name="student">The student's logits [tokens, vocabulary], with a gradient.</param>
    /// <param name="teacher">The teacher's logits [tokens, vocabulary].</param>
    public Tensor Each(Tensor student, Tensor teacher)
    {
        ArgumentNullException.ThrowIfNull(student);
        ArgumentNullException.ThrowIfNull(teacher);
        return Divergence((student / Temperature).log_softmax(-1), (teacher.detach() / Temperature).log_softmax(-1));
    }

    /// <summary>Σ of the divergences / the step's tokens, a scalar.</summary>
    /// <param name="student">The student's logits [tokens, vocabulary], with a gradient.</param>
    /// <param name="teacher">The teacher's logits [tokens, vocabulary].</param>
    /// <param name="stepTokens">The tokens of the whole step.</param>
    public Tensor Sum(Tensor student, Tensor teacher, double stepTokens) => Each(student, teacher).sum() / stepTokens;

    /// <summary>The divergence at each token [tokens].</summary>
    /// <param name="student">The student's log-probabilities [tokens, vocabulary].</param>
    /// <param name="teacher">The teacher's log-probabilities [tokens, vocabulary].</param>
    protected abstract Tensor Divergence(Tensor student, Tensor teacher);

    /// <summary>KL(p ‖ q) [tokens].</summary>
    /// <param name="p">log p [tokens, vocabulary].</param>
    /// <param name="q">log q [tokens, vocabulary].</param>
    protected static Tensor Kl(Tensor p, Tensor q)
    {
        ArgumentNullException.ThrowIfNull(p);
        return (p.exp() * (p - q)).sum(-1);
    }
}

/// <summary>Forward KL: KL(teacher ‖ student) (Hinton et al. 2015). The student covers all that the teacher may say.</summary>
/// <param name="Temperature">The temperature.</param>
public sealed record ForwardKlDistillation(double Temperature = 1) : DistillationLoss(Temperature)
{
    /// <inheritdoc/>
    protected override Tensor Divergence(Tensor student, Tensor teacher) => Kl(teacher, student);
}

/// <summary>Reverse KL: KL(student ‖ teacher) (Gu et al. 2024). The student seeks what the teacher is surest of.</summary>
/// <param name="Temperature">The temperature.</param>
public sealed record ReverseKlDistillation(double Temperature = 1) : DistillationLoss(Temperature)
{
    /// <inheritdoc/>
    protected override Tensor Divergence(Tensor student, Tensor teacher) => Kl(student, teacher);
}

/// <summary>
/// The generalised Jensen-Shannon divergence (Agarwal et al. 2024): β·KL(teacher ‖ m) + (1 − β)·KL(student ‖ m), m = β·teacher
/// + (1 − β)·student.
/// </summary>
/// <param name="Beta">β, above 0 and below 1; towards 0 it behaves as forward KL, towards 1 as reverse KL.</param>
/// <param name="Temperature">The temperature.</param>
public sealed record JensenShannonDistillation(double Beta = 0.5, double Temperature = 1) : DistillationLoss(Temperature)
{
    /// <inheritdoc/>
    protected override Tensor Divergence(Tensor student, Tensor teacher)
    {
        ArgumentNullException.ThrowIfNull(student);
        ArgumentNullException.ThrowIfNull(teacher);
        var mixture = logaddexp(teacher + Math.Log(Beta), student + Math.Log(1 - Beta));
        return Kl(teacher, mixture) * Beta + Kl(student, mixture) * (1 - Beta);
    }
}
