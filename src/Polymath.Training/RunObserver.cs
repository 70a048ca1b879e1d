namespace Polymath.Training;

/// <summary>Observes a run. No member has to be overridden; the command line uses an observer to show progress.</summary>
public abstract class RunObserver
{
    /// <summary>A message.</summary>
    /// <param name="text">The line.</param>
    public virtual void Note(string text)
    {
    }

    /// <summary>Work before or between steps makes progress.</summary>
    /// <param name="activity">What is done.</param>
    /// <param name="done">How much of it is done.</param>
    /// <param name="total">How much there is; 0 when it is unknown.</param>
    public virtual void Progress(string activity, long done, long total)
    {
    }

    /// <summary>A stage starts or continues.</summary>
    /// <param name="name">The stage.</param>
    /// <param name="kind">Its kind.</param>
    /// <param name="steps">Its steps.</param>
    /// <param name="trainable">The elements it trains.</param>
    /// <param name="done">The steps done before.</param>
    public virtual void StageStarted(
        string name,
        string kind,
        int steps,
        long trainable,
        int done)
    {
    }

    /// <summary>A step is done.</summary>
    /// <param name="report">The step's figures.</param>
    /// <param name="steps">The stage's steps.</param>
    /// <param name="tokensPerSecond">The stage's speed so far.</param>
    public virtual void StepDone(StepReport report, int steps, double tokensPerSecond)
    {
    }

    /// <summary>Abilities were measured.</summary>
    /// <param name="after">The stage.</param>
    /// <param name="step">The step; 0 when the stage is over.</param>
    /// <param name="values">The values by name.</param>
    public virtual void Measured(string after, int step, IReadOnlyDictionary<string, double> values)
    {
    }

    /// <summary>A stage is over.</summary>
    /// <param name="name">The stage.</param>
    public virtual void StageDone(string name)
    {
    }
}
